import { createHash } from 'node:crypto'
import { mkdirSync, realpathSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { Hindrance } from './hindrance.ts'

export interface FolderLock {
  release(): Promise<void>
}

/** Somebody else, still alive, works with this folder. */
export class FolderInUse extends Hindrance {
  readonly folder: string
  readonly pid: string

  constructor(folder: string, pid: string) {
    super(`${folder} is in use by process ${pid}.`, 'Stop that one first, or choose another data directory.')
    this.name = 'FolderInUse'
    this.folder = folder
    this.pid = pid
  }
}

/**
 * Claims a folder for this process. The lock is an abstract socket: the kernel gives it to one process only and takes
 * it back when that process dies, however it dies, so there is no stale lock to judge.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  mkdirSync(folder, { recursive: true })
  const real = realpathSync(folder)
  const name = `\0agentctl-${createHash('sha256').update(real).digest('hex').slice(0, 32)}`
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.end(String(process.pid))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', async (error) => {
      const taken = 'code' in error && error.code === 'EADDRINUSE'
      reject(taken ? new FolderInUse(real, await askPid(name)) : error)
    })
    server.listen(name, resolve)
  })
  server.unref()
  return { release: () => new Promise((resolve) => server.close(() => resolve())) }
}

function askPid(name: string): Promise<string> {
  return new Promise((resolve) => {
    let said = ''
    const socket = connect(name)
    socket.setTimeout(1_000, () => socket.destroy())
    socket.on('data', (part) => {
      said += part.toString()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(said || 'unknown'))
  })
}
