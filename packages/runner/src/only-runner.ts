import { pause } from './back-off.ts'
import type { OwnLog } from './own-log.ts'
import { identityOf, isAlive, type ProcessIdentity } from './proc.ts'
import { readJsonState, writeState } from './state-file.ts'

/**
 * Two runners on one machine would both restart the same agent. The newest stays: whoever started it knows best what
 * should run, and a runner may be killed at any moment without harm.
 */
export async function becomeOnlyRunner(file: string, log: OwnLog): Promise<void> {
  const before = readJsonState<ProcessIdentity>(file)
  if (before && before.pid !== process.pid && isAlive(before)) {
    log(`another runner is here still, process ${before.pid}; ending it`)
    process.kill(before.pid, 'SIGKILL')
    while (isAlive(before)) await pause(5)
  }
  writeState(file, JSON.stringify(identityOf(process.pid)))
}
