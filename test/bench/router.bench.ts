import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { commandLine } from '@agentctl/localcloud/process-identity.ts'
import { type BenchCloud, benchCloud } from './bench-cloud.ts'
import { type Figure, median } from './figures.ts'
import { ask, connections, cpuMs, load, type Way } from './load.ts'

const ROUND_MS = 1000
const ROUNDS = 7
const WARM_UP_MS = 2000

/** Says at /self where it listens and what processor time it has used; anything else is answered at once. */
const AGENT = `
const { createServer } = require('node:http')
createServer((request, response) => {
  if (request.url !== '/self') return request.resume().on('end', () => response.end('hello'))
  const { user, system } = process.cpuUsage()
  response.end(JSON.stringify({ port: Number(process.env.PORT), cpuMs: (user + system) / 1000 }))
}).listen(process.env.PORT)
`

/** Requests a second and processor time through router and runner, against the same agent asked straight, in turns. */
export default async function router(): Promise<Figure[]> {
  const bench = await benchCloud()
  try {
    const folder = bench.folder('busy', {
      'index.js': AGENT,
      'agent.json': JSON.stringify({ name: 'busy', size: 'nano', start: 'node index.js' }),
    })
    const { stdout } = await bench.cli('deploy', folder, '--yes', '--quiet')
    const { host } = new URL(stdout.trim())
    const through: Way = {
      port: Number(new URL(bench.cloud.local.routerUrl).port),
      host,
      connections: connections(),
    }
    const { port } = await self(through)
    // Machines of the local cloud share the network of this one.
    const straight: Way = { port, host, connections: connections() }
    const figures = [
      ...(await compare(bench, through, straight, 'GET')),
      ...(await compare(bench, through, straight, 'POST')),
    ]
    through.connections.destroy()
    straight.connections.destroy()
    return figures
  } finally {
    await bench.stop()
  }
}

async function compare(
  { cloud, dataDir }: BenchCloud,
  through: Way,
  straight: Way,
  method: 'GET' | 'POST',
): Promise<Figure[]> {
  const server = serverPid(dataDir)
  const runner = runnerPid(cloud.local.apiUrl)
  const perSecond: number[] = []
  const processor: number[] = []
  let throughPerSecond = 0
  await load(through, { method, ms: WARM_UP_MS })
  await load(straight, { method, ms: WARM_UP_MS })
  for (let round = 0; round < ROUNDS; round++) {
    const before = { server: cpuMs(server), runner: cpuMs(runner), agent: (await self(straight)).cpuMs }
    const done = await load(straight, { method, ms: ROUND_MS })
    const between = { server: cpuMs(server), runner: cpuMs(runner), agent: (await self(straight)).cpuMs }
    const carried = await load(through, { method, ms: ROUND_MS })
    const after = { server: cpuMs(server), runner: cpuMs(runner), agent: (await self(straight)).cpuMs }
    throughPerSecond = carried / (ROUND_MS / 1000)
    perSecond.push(carried / done)
    const alone = (between.agent - before.agent) / done
    const all =
      (after.server - between.server + after.runner - between.runner + after.agent - between.agent) / carried
    processor.push(all / alone)
  }
  const what = `${method} through the router ÷ straight to the agent`
  return [
    {
      name: `${what}, requests a second (${throughPerSecond.toFixed(0)})`,
      value: median(perSecond),
      unit: '×',
    },
    { name: `${what}, processor time of all parts for a request`, value: median(processor), unit: '×' },
  ]
}

async function self(way: Way): Promise<{ port: number; cpuMs: number }> {
  return JSON.parse(await ask(way, '/self', 'GET'))
}

function serverPid(dataDir: string): number {
  return JSON.parse(readFileSync(`${dataDir}/server-process.json`, 'utf8')).pid
}

/** The runner of the one machine of this cloud: the Node process that was told this address. */
function runnerPid(apiUrl: string): number {
  const pid = readdirSync('/proc')
    .map(Number)
    .filter(Number.isInteger)
    .find((one) => {
      const [file = '', ...args] = commandLine(one)
      return basename(file) === 'node' && args[args.indexOf('--api') + 1] === apiUrl
    })
  if (pid === undefined) throw new Error('No runner runs.')
  return pid
}
