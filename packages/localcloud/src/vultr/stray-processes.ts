import { readdirSync, readFileSync } from 'node:fs'
import { signal } from '../process-identity.ts'
import { waitUntil } from '../wait-until.ts'

/** Variables that a machine's processes inherit. Others, such as PWD, a person's shell could have as well. */
const MARKS = ['AGENTCTL_BASE=', 'HOME=', 'TMPDIR=']

/**
 * Ends every process of ours whose environment says that it belongs to the machine with this disk. The path holds the
 * machine's random id, so a stranger cannot be meant.
 */
export async function endProcessesOf(disk: string): Promise<void> {
  const ended = await waitUntil(
    () => {
      const pids = processesOf(disk)
      for (const pid of pids) signal(pid, 'SIGKILL')
      return pids.length === 0
    },
    { withinMs: 10_000, everyMs: 5 },
  )
  if (!ended) throw new Error(`Processes of the machine on ${disk} do not end.`)
}

export function processesOf(disk: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => pid !== process.pid && isMarked(pid, disk))
}

function isMarked(pid: number, disk: string): boolean {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return variables.some((variable) =>
      MARKS.some((mark) => variable === `${mark}${disk}` || variable.startsWith(`${mark}${disk}/`)),
    )
  } catch {
    // Ended meanwhile, or not ours.
    return false
  }
}
