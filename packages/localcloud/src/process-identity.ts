import { readdirSync, readFileSync } from 'node:fs'

/**
 * A process that cannot be mistaken for another one: a number alone is used again by the system, so the moment of its
 * start and the boot of the machine belong to it.
 */
export interface ProcessIdentity {
  pid: number
  /** Clock ticks since boot, field 22 of /proc/<pid>/stat. */
  startedAtTicks: string
  bootId: string
}

/** Undefined when there is no such process, or when it has ended and only waits to be collected. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const startedAtTicks = fields[19]
    if (startedAtTicks === undefined) return undefined
    // The first thread may have ended while others still hold ports and files.
    if (fields[0] === 'Z' && readdirSync(`/proc/${pid}/task`).length <= 1) return undefined
    return { pid, startedAtTicks, bootId: bootId() }
  } catch {
    return undefined
  }
}

export function isRunning(identity: ProcessIdentity): boolean {
  const now = identifyProcess(identity.pid)
  return now?.startedAtTicks === identity.startedAtTicks && now.bootId === identity.bootId
}

/** 0 for none, and for a process that is gone. */
export function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

export function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return []
  }
}

/** True if the signal went out; false if nobody was there to take it. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
