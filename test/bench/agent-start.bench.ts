import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleRunner, removeBundles, TestMachine, until } from '../../packages/runner/test/test-machine.ts'
import { type Figure, median, timeOf } from './figures.ts'

const ROUNDS = 21

const AGENT = `
require('node:http').createServer((request, response) => response.end('hello')).listen(process.env.PORT)
`

/** From spawn to healthy, as the real runner measures it, against the least that a Node process can cost. */
export default async function agentStart(): Promise<Figure[]> {
  const machine = new TestMachine(await bundleRunner())
  try {
    await machine.boot()
    return [
      ...(await startAgents(machine, 'a TCP connection', null)),
      ...(await startAgents(machine, 'a path', '/')),
    ]
  } finally {
    await machine.shutDown()
    removeBundles()
  }
}

async function startAgents(machine: TestMachine, healthBy: string, path: string | null): Promise<Figure[]> {
  const { server } = machine
  const ratios: number[] = []
  const toHealthy: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const id = `rel_${path === null ? 'tcp' : 'path'}_${round}`
    server.desire(
      server.release(
        id,
        { 'index.js': AGENT },
        { start: 'node index.js', health: { path, timeoutSeconds: 20 } },
      ),
    )
    await machine.reported(id, 'healthy')
    // The old process is gone as well: it would be in the way of the next measurement.
    await until(
      'one process',
      () => JSON.parse(readFileSync(join(machine.run, 'agent.json'), 'utf8')).processes.length === 1,
    )
    const ms = server.reports.find((one) => one.releaseId === id && one.state === 'healthy')?.timings
      ?.healthMs
    if (ms === undefined) throw new Error(`The runner told no time for ${id}.`)
    const nothing = timeOf({ file: process.execPath, args: ['-e', '0'] })
    // The first one finds nothing in memory yet.
    if (round === 0) continue
    toHealthy.push(ms)
    ratios.push(ms / nothing)
  }
  return [
    {
      name: `spawn to healthy by ${healthBy} ÷ node -e 0 (${median(toHealthy).toFixed(0)} ms)`,
      value: median(ratios),
      unit: '×',
      atMost: 2,
    },
  ]
}
