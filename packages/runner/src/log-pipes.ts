import { execFile } from 'node:child_process'
import { chownSync, closeSync, constants, openSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { AgentUser } from './agent-user.ts'
import { LineSplitter } from './line-splitter.ts'

const run = promisify(execFile)

/**
 * Named pipes take an agent's output. An agent has its ends open for reading too, so that it neither ends nor fails
 * while the runner is away; what it writes then waits in the kernel for the next runner.
 */
export interface LogPipes {
  stdout: string
  stderr: string
}

export async function makeLogPipes(folder: string, name: string, user: AgentUser): Promise<LogPipes> {
  const pipes = { stdout: join(folder, `${name}.out`), stderr: join(folder, `${name}.err`) }
  removeLogPipes(pipes)
  await run('mkfifo', ['-m', '600', pipes.stdout, pipes.stderr])
  if (user.ids) {
    // Programs that open /dev/stdout open the pipe anew, as the agent's user.
    for (const path of [pipes.stdout, pipes.stderr]) chownSync(path, user.ids.uid, user.ids.gid)
  }
  return pipes
}

export function removeLogPipes(pipes: LogPipes): void {
  for (const path of [pipes.stdout, pipes.stderr]) rmSync(path, { force: true })
}

/** The ends that a new process inherits; close them once it has started. */
export function openForWriting(pipes: LogPipes): { stdout: number; stderr: number; close(): void } {
  const stdout = openSync(pipes.stdout, constants.O_RDWR)
  const stderr = openSync(pipes.stderr, constants.O_RDWR)
  return {
    stdout,
    stderr,
    close() {
      closeSync(stdout)
      closeSync(stderr)
    },
  }
}

export interface LogReader {
  /** Resolves when no process holds the pipes any more and everything was read. */
  ended: Promise<void>
  close(): void
}

export function readLogs(
  pipes: LogPipes,
  onLine: (stream: 'stdout' | 'stderr', line: string) => void,
): LogReader {
  const sockets: Socket[] = []
  const ends: Promise<void>[] = []
  for (const stream of ['stdout', 'stderr'] as const) {
    const fd = openSync(pipes[stream], constants.O_RDONLY | constants.O_NONBLOCK)
    const socket = new Socket({ fd, readable: true, writable: false })
    const lines = new LineSplitter((line) => onLine(stream, line))
    socket.on('data', (chunk) => lines.write(chunk))
    socket.on('error', () => {})
    ends.push(
      new Promise((resolve) => {
        socket.on('close', () => {
          lines.end()
          resolve()
        })
      }),
    )
    sockets.push(socket)
  }
  return {
    ended: Promise.all(ends).then(() => undefined),
    close() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
