import { type ExitCode, type ProblemCode, problems } from '@agentctl/contract/problems.ts'

export interface FailureDetails {
  /** What the reader can do; the kind's own sentence unless told. */
  fix?: string
  requestId?: string | undefined
  /** Commands to type next. */
  next?: string[]
  /** What goes to stdout all the same, because work had begun: it carries the ids. */
  document?: unknown
  cause?: unknown
}

/** An expected refusal; anything else that is thrown is a bug. */
export class Failure extends Error {
  readonly code: ProblemCode
  readonly fix: string
  readonly requestId: string | null
  readonly next: string[]
  readonly document: unknown

  constructor(code: ProblemCode, message: string, details: FailureDetails = {}) {
    super(message, { cause: details.cause })
    this.name = 'Failure'
    this.code = code
    this.fix = details.fix ?? problems[code].fix
    this.requestId = details.requestId ?? null
    this.next = details.next ?? []
    this.document = details.document
  }
}

/** How a command that did not throw ends: done, or the problem that its result stands for. */
export type Ending = ProblemCode | undefined

/** The only place where an exit code comes from. */
export const exitCodeOf = (ending: Ending): ExitCode => (ending === undefined ? 0 : problems[ending].exit)

const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

const fileErrors: Record<string, string> = {
  // Longer than a text can be, or than a file that is read at once.
  ERR_STRING_TOO_LONG: 'is too large to be read',
  ERR_FS_FILE_TOO_LARGE: 'is too large to be read',
  ENOENT: 'does not exist',
  EACCES: 'may not be read or written by you',
  EPERM: 'may not be changed by you',
  EISDIR: 'is a folder',
  ENOTDIR: 'is not a folder',
  ENOSPC: 'does not fit on the disk',
  EROFS: 'is on a read-only disk',
}

/** Turns whatever was thrown into a failure with one clear line. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  // Prompts throw their own error at Ctrl-C.
  if (error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortPromptError')) {
    return new Failure('interrupted', 'Interrupted')
  }
  const said = fileErrors[errnoOf(error) ?? '']
  if (said !== undefined && error instanceof Error && 'path' in error && typeof error.path === 'string') {
    return new Failure('usage', `${error.path} ${said}`, { fix: 'Check the path.', cause: error })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new Failure('unexpected', `agentctl itself went wrong: ${message.split('\n', 1)[0]}`, {
    cause: error,
  })
}
