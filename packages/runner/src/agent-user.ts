import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'

/** As whom agents run. */
export interface AgentUser {
  name: string
  /** Present when the runner may and should change to that user: it is root and the user exists. */
  ids?: { uid: number; gid: number }
}

export function findAgentUser(): AgentUser {
  if (process.getuid?.() !== 0) return { name: currentName() }
  const entry = passwdEntry('agent')
  return entry ? { name: 'agent', ids: entry } : { name: currentName() }
}

function passwdEntry(name: string): { uid: number; gid: number } | undefined {
  try {
    const fields = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .find((entry) => entry[0] === name)
    const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])]
    return uid > 0 && gid > 0 ? { uid, gid } : undefined
  } catch {
    return undefined
  }
}

function currentName(): string {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in passwd.
    return 'agent'
  }
}
