import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { AgentUser } from './agent-user.ts'
import { pause } from './back-off.ts'
import { type LogPipes, type LogReader, openForWriting, readLogs, removeLogPipes } from './log-pipes.ts'
import { identityOf, isAlive, membersOf, type ProcessIdentity } from './proc.ts'

/** How a process ended; an adopted one is not our child, so nobody tells us its code. */
export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
  /** It never started: the reason from the system. */
  error?: NodeJS.ErrnoException
}

type OnLine = (stream: 'stdout' | 'stderr', line: string) => void

export interface Command {
  command: string
  cwd: string
  environment: Record<string, string>
  user: AgentUser
  pipes: LogPipes
}

const TAIL_LINES = 20
const TAIL_CHARACTERS = 4096
const ADOPTED_POLL_MS = 200
const STOP_MS = 10_000
/** After the end of a process its children may hold the pipes open; its own last lines arrive in this time. */
const LAST_LINES_MS = 200

/** A shell command in a session of its own, with its output in named pipes: it outlives the runner. */
export class AgentProcess {
  readonly identity: ProcessIdentity | undefined
  readonly pipes: LogPipes
  /** Resolves when its first process has ended and its last lines were read. */
  readonly ended: Promise<Ending>
  readonly startedAt: number
  readonly #reader: LogReader
  readonly #tail: string[]
  #over = false

  private constructor(
    identity: ProcessIdentity | undefined,
    pipes: LogPipes,
    reader: LogReader,
    tail: string[],
    ended: Promise<Ending>,
    startedAt: number,
  ) {
    this.identity = identity
    this.pipes = pipes
    this.startedAt = startedAt
    this.#reader = reader
    this.#tail = tail
    this.ended = ended.then(async (ending) => {
      await Promise.race([reader.ended, pause(LAST_LINES_MS)])
      this.#over = true
      return ending
    })
  }

  static start(what: Command, onLine: OnLine): AgentProcess {
    const { tail, remember } = rememberTail(onLine)
    const ends = openForWriting(what.pipes)
    let child: ChildProcess
    let reader: LogReader
    const startedAt = Date.now()
    try {
      reader = readLogs(what.pipes, remember)
      child = spawn('/bin/sh', ['-c', what.command], {
        cwd: what.cwd,
        env: what.environment,
        // A session and process group of its own: signals reach all of it, and none of ours reaches it.
        detached: true,
        stdio: ['ignore', ends.stdout, ends.stderr],
        // With a uid Node also drops every supplementary group.
        ...(what.user.ids ? { uid: what.user.ids.uid, gid: what.user.ids.gid } : {}),
      })
    } finally {
      ends.close()
    }
    const ended = new Promise<Ending>((resolve) => {
      child.on('error', (error) => resolve({ code: null, signal: null, error }))
      child.on('exit', (code, signal) => resolve({ code, signal }))
    })
    const identity = child.pid === undefined ? undefined : identityOf(child.pid)
    if (child.pid !== undefined) preferToKill(child.pid)
    return new AgentProcess(identity, what.pipes, reader, tail, ended, startedAt)
  }

  /** Takes over a process that an earlier runner started; undefined when it is not that very process any more. */
  static adopt(
    recorded: { identity: ProcessIdentity; pipes: LogPipes; startedAt: number },
    onLine: OnLine,
  ): AgentProcess | undefined {
    if (!isAlive(recorded.identity)) return undefined
    const { tail, remember } = rememberTail(onLine)
    let reader: LogReader
    try {
      reader = readLogs(recorded.pipes, remember)
    } catch {
      // Without its pipes it would block as soon as they are full.
      return undefined
    }
    const ended = (async () => {
      let readable = true
      void reader.ended.then(() => {
        readable = false
      })
      while (isAlive(recorded.identity)) {
        await Promise.race([pause(ADOPTED_POLL_MS), ...(readable ? [reader.ended] : [])])
      }
      return { code: null, signal: null }
    })()
    return new AgentProcess(recorded.identity, recorded.pipes, reader, tail, ended, recorded.startedAt)
  }

  get over(): boolean {
    return this.#over
  }

  tail(): string[] {
    return [...this.#tail]
  }

  /** Asks the whole group to end, insists after ten seconds, and returns when none of it is left. */
  async stop(): Promise<void> {
    if (this.identity) await endSession(this.identity)
    await this.ended
    this.#reader.close()
    removeLogPipes(this.pipes)
  }
}

/** When memory runs out the kernel shall end the agent, which is started again, and nothing else of the machine. */
function preferToKill(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, '500')
  } catch {
    // It has ended already, or this kernel leaves the choice to nobody.
  }
}

/** SIGTERM, then SIGKILL, for every process of the session that this process leads. */
export async function endSession(leader: ProcessIdentity): Promise<void> {
  const deadline = Date.now() + STOP_MS
  signalAll(leader, 'SIGTERM')
  let pauseMs = 5
  while (membersOf(leader).length > 0 && Date.now() < deadline) {
    await pause(pauseMs)
    pauseMs = Math.min(pauseMs * 1.5, 100)
  }
  // Again and again: a process that forks while we read the list is found in the next round.
  while (membersOf(leader).length > 0 && Date.now() < deadline + STOP_MS) {
    signalAll(leader, 'SIGKILL')
    await pause(10)
  }
}

function signalAll(leader: ProcessIdentity, signal: NodeJS.Signals): void {
  for (const pid of membersOf(leader)) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended in the meantime.
    }
  }
}

function rememberTail(onLine: OnLine): { tail: string[]; remember: OnLine } {
  const tail: string[] = []
  return {
    tail,
    remember(stream, line) {
      tail.push(line.slice(0, TAIL_CHARACTERS))
      if (tail.length > TAIL_LINES) tail.shift()
      onLine(stream, line)
    },
  }
}
