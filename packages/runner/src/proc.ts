import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A process beyond doubt: a pid alone is given to a stranger sooner or later. */
export interface ProcessIdentity {
  pid: number
  /** Clock ticks after boot at which it started. */
  startTicks: string
  bootId: string
}

interface ProcessStat {
  state: string
  session: number
  startTicks: string
}

export function statOf(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold spaces and parentheses itself.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', session: Number(fields[3]), startTicks: fields[19] ?? '' }
  } catch {
    return undefined
  }
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

export function identityOf(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid)
  return stat && { pid, startTicks: stat.startTicks, bootId: bootId() }
}

/** Whether this very process still runs. A zombie has ended, only nobody has asked for its exit code. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = statOf(identity.pid)
  return (
    stat !== undefined &&
    stat.state !== 'Z' &&
    stat.state !== 'X' &&
    stat.startTicks === identity.startTicks &&
    bootId() === identity.bootId
  )
}

/** Living processes of the session that this process leads, itself included; also when the leader has ended. */
export function membersOf(leader: ProcessIdentity): number[] {
  const now = statOf(leader.pid)
  // Its number leads again under another start time: whatever is in that session is a stranger's.
  if (now && now.startTicks !== leader.startTicks) return []
  if (bootId() !== leader.bootId) return []
  const members: number[] = []
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    const stat = statOf(pid)
    if (stat && stat.session === leader.pid && stat.state !== 'Z' && stat.state !== 'X') members.push(pid)
  }
  return members
}

/** TCP ports on which the processes of this session listen. */
export function listeningPorts(leader: ProcessIdentity): number[] {
  const inodes = new Set<string>()
  for (const pid of membersOf(leader)) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const socket = linkOf(`/proc/${pid}/fd/${fd}`)?.match(/^socket:\[(\d+)\]$/)?.[1]
        if (socket) inodes.add(socket)
      }
    } catch {
      // It ended in the meantime.
    }
  }
  const ports = new Set<number>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of linesOf(table)) {
      const fields = line.trim().split(/\s+/)
      const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)
      if (fields[3] === '0A' && inodes.has(fields[9] ?? '') && port > 0) ports.add(port)
    }
  }
  return [...ports].sort((a, b) => a - b)
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(1)
  } catch {
    return []
  }
}
