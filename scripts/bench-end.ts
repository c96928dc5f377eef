import { rmSync } from 'node:fs'
import { identifyProcess, isRunning, signal } from '@agentctl/localcloud/process-identity.ts'
import { endProcessesOf } from '@agentctl/localcloud/stray-processes.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'

// A process of its own beside a bench: when that or one of those that it was started by has ended, however, whatever it
// started ends as well, and goes with its folder.
const [folder = '', bench = '', ...starters] = process.argv.slice(2)
const watched = [bench, ...starters].map((pid) => identifyProcess(Number(pid)))
await waitUntil(() => watched.some((one) => !one || !isRunning(one)), {
  withinMs: Number.POSITIVE_INFINITY,
  everyMs: 250,
})
const [ended] = watched
if (ended && isRunning(ended)) signal(ended.pid, 'SIGKILL')
await endProcessesOf(folder)
rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
