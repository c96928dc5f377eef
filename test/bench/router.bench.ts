import { readdirSync, readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { basename } from 'node:path'
import { commandLine } from '@agentctl/localcloud/process-identity.ts'
import { type BenchCloud, benchCloud } from './bench-cloud.ts'
import { type Figure, median } from './figures.ts'

const CLIENTS = 16
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

interface Way {
  port: number
  host: string
  connections: Agent
}

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
    const connections = () => new Agent({ keepAlive: true, maxSockets: CLIENTS })
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
  await load(through, method, WARM_UP_MS)
  await load(straight, method, WARM_UP_MS)
  for (let round = 0; round < ROUNDS; round++) {
    const before = { server: cpuMs(server), runner: cpuMs(runner), agent: (await self(straight)).cpuMs }
    const done = await load(straight, method, ROUND_MS)
    const between = { server: cpuMs(server), runner: cpuMs(runner), agent: (await self(straight)).cpuMs }
    const carried = await load(through, method, ROUND_MS)
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

/** How many requests are answered in this time by all clients together. */
async function load(way: Way, method: 'GET' | 'POST', ms: number): Promise<number> {
  const deadline = performance.now() + ms
  let done = 0
  const client = async (): Promise<void> => {
    while (performance.now() < deadline) {
      await ask(way, '/', method)
      done++
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return done
}

async function self(way: Way): Promise<{ port: number; cpuMs: number }> {
  return JSON.parse(await ask(way, '/self', 'GET'))
}

function ask({ port, host, connections }: Way, path: string, method: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      agent: connections,
      headers: { host, ...(method === 'POST' && { 'content-length': 2 }) },
    })
    asking.once('error', reject)
    asking.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.once('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode} ${text}`)),
      )
      response.once('error', reject)
    })
    asking.end(method === 'POST' ? 'hi' : undefined)
  })
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

/** Processor time that a process has used; the system counts it in hundredths of a second. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}
