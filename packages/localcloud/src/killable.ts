import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { UnixUser } from './unprivileged-user.ts'

export interface Killable<Part> {
  part: Part
  pid: number
  /** What it logged so far. */
  said(): string
  /** `kill -9`: it gets no chance to put anything in order. */
  kill(): Promise<void>
  /** Asks it to stop in order, and waits for that. */
  end(): Promise<void>
}

/** Starts a part of the local cloud in a process of its own. */
export async function startKillable<Part>(
  part: 'postgres' | 'chain' | 'vultr' | 'cloud',
  dataDir: string,
  { sandbox = 'auto', user }: { sandbox?: 'auto' | 'none'; user?: UnixUser } = {},
): Promise<Killable<Part>> {
  const program = fileURLToPath(new URL('start-alone.ts', import.meta.url))
  const child = spawn(process.execPath, [program, part, dataDir, sandbox], {
    cwd: dataDir,
    env: { PATH: process.env.PATH, HOME: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(user ? { uid: user.uid, gid: user.gid } : {}),
  })
  let said = ''
  child.stderr.on('data', (text) => {
    said += text.toString()
  })
  onTestFinished(() => kill(child))
  const firstLine = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([line]) => String(line)),
    once(child, 'exit').then(() => undefined),
  ])
  if (firstLine === undefined) throw new Error(`${part} did not start:\n${said}`)
  return {
    part: JSON.parse(firstLine),
    pid: child.pid ?? 0,
    said: () => said,
    kill: () => kill(child),
    end: () => end(child),
  }
}

function kill(child: ChildProcess): Promise<void> {
  return send(child, 'SIGKILL')
}

function end(child: ChildProcess): Promise<void> {
  return send(child, 'SIGTERM')
}

async function send(child: ChildProcess, name: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(name)
  await ended
}
