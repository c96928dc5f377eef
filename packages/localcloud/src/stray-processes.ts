import { readdirSync, readFileSync } from 'node:fs'
import { signal } from './process-identity.ts'
import { waitUntil } from './wait-until.ts'

/** Variables that processes inherit from whoever works in a folder. Others, such as PWD, a person's shell could have as well. */
const MARKS = ['AGENTCTL_BASE=', 'HOME=', 'TMPDIR=']

/**
 * Ends every process of ours whose environment says that it belongs to this folder, such as the disk of a machine. The
 * path holds a random id, so a stranger cannot be meant.
 */
export async function endProcessesOf(folder: string): Promise<void> {
  const ended = await waitUntil(
    () => {
      const pids = processesOf(folder)
      for (const pid of pids) signal(pid, 'SIGKILL')
      return pids.length === 0
    },
    { withinMs: 10_000, everyMs: 5 },
  )
  if (!ended) throw new Error(`Processes of ${folder} do not end.`)
}

export function processesOf(folder: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => pid !== process.pid && isMarked(pid, folder))
}

function isMarked(pid: number, folder: string): boolean {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return variables.some((variable) =>
      MARKS.some((mark) => variable === `${mark}${folder}` || variable.startsWith(`${mark}${folder}/`)),
    )
  } catch {
    // Ended meanwhile, or not ours.
    return false
  }
}
