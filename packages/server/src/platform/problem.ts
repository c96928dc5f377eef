import { type ProblemCode, problems } from '@agentctl/contract/problems.ts'

/**
 * An expected refusal. `detail` is one sentence for the user about this occurrence; anything else that is thrown is a
 * bug and is answered as `internal`.
 */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly fix: string
  readonly retryAfterSeconds: number | undefined
  /** Headers that this refusal must have beyond those of any answer. */
  readonly headers: Readonly<Record<string, string>> | undefined

  constructor(
    code: ProblemCode,
    detail: string = problems[code].title,
    options: {
      fix?: string
      retryAfterSeconds?: number
      headers?: Readonly<Record<string, string>>
      cause?: unknown
    } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.fix = options.fix ?? problems[code].fix
    this.retryAfterSeconds = options.retryAfterSeconds
    this.headers = options.headers
  }
}
