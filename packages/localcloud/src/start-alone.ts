import { startChain } from './chain.ts'
import { startLocalCloud } from './local-cloud.ts'
import { startPostgres } from './postgres.ts'
import { startVultr } from './vultr/vultr.ts'

// A process of its own for tests that kill it: starts one part and says on stdout, in one line of JSON, what it has.
const [part, dataDir = '', sandbox] = process.argv.slice(2)
const log = (line: string) => process.stderr.write(`${line}\n`)
const options = { dataDir, log, ...(sandbox === 'none' ? { sandbox: 'none' as const } : {}) }

const starts = {
  postgres: () => startPostgres(options),
  chain: () => startChain({ ...options, blockSeconds: 1 }),
  vultr: () => startVultr(options),
  cloud: () => startLocalCloud({ ...options, blockSeconds: 1 }),
}
const start = Object.entries(starts).find(([name]) => name === part)?.[1]
if (!start) throw new Error(`There is no part ${part}.`)
const started = await start()
process.once('SIGTERM', async () => {
  await started.stop()
  process.exit()
})
process.stdout.write(`${JSON.stringify(started)}\n`)
