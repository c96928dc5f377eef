import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { freePort } from '@agentctl/localcloud/free-port.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { benchCloud } from './bench-cloud.ts'
import { type Figure, median } from './figures.ts'
import { ask, connections, cpuMs, load, type Way } from './load.ts'

const root = join(import.meta.dirname, '../..')
const ROUND_MS = 1500
const ROUNDS = 9
const WARM_UP_MS = 4000
const PLENTY = '100000000'

const JUDGED = '/v1/namespaces/main/members'
const REPORTED = ['/v1/namespaces', '/v1/agents?namespace=main']

/**
 * What an authenticated request costs the server: key, role, row-level security, validation, limits and log; against
 * the same key found by bare node:http with one indexed SELECT, in turns.
 */
export default async function requests(): Promise<Figure[]> {
  const bench = await benchCloud()
  const processes: ChildProcess[] = []
  try {
    await bench.cli('namespaces', 'create', 'main')
    const { stdout } = await bench.cli('keys', 'create', 'bench', '--json')
    const bearer: string = JSON.parse(stdout).key
    const start = async (file: string, args: string[], environment: Record<string, string>) => {
      const port = await freePort()
      const child = spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', join(root, file), ...args],
        {
          env: {
            PATH: process.env.PATH,
            TMPDIR: process.env.TMPDIR,
            ...environment,
            PORT: String(port),
          },
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      )
      processes.push(child)
      const way: Way = { port, host: `127.0.0.1:${port}`, connections: connections(), bearer }
      const answers = () =>
        ask(way, JUDGED).then(
          () => true,
          () => false,
        )
      if (!(await waitUntil(answers, { withinMs: 30_000 }))) throw new Error(`${file} does not answer`)
      return { way, pid: child.pid ?? 0 }
    }
    const environment = {
      ...bench.cloud.serverEnvironment,
      REQUESTS_PER_MINUTE_ADDRESS: PLENTY,
      REQUESTS_PER_MINUTE_ACCOUNT: PLENTY,
      REQUESTS_PER_MINUTE_CREDENTIAL: PLENTY,
    }
    const ours = await start('packages/server/src/main.ts', ['--roles', 'api'], environment)
    const raw = await start('test/bench/raw-server.ts', [], { DATABASE_URL: bench.cloud.local.databaseUrl })
    const figures: Figure[] = []
    for (const path of [JUDGED, ...REPORTED]) {
      const value = await compare(ours, raw, path)
      figures.push({
        name: `GET ${path} ÷ node:http with one SELECT, processor time of the server for a request`,
        value,
        unit: '×',
        ...(path === JUDGED && { atMost: 2.2 }),
      })
    }
    return figures
  } finally {
    for (const child of processes) child.kill('SIGTERM')
    await bench.stop()
  }
}

interface Measured {
  way: Way
  pid: number
}

async function compare(ours: Measured, raw: Measured, path: string): Promise<number> {
  const cost = async ({ way, pid }: Measured, ms: number): Promise<number> => {
    const before = cpuMs(pid)
    const done = await load(way, { path, ms })
    return (cpuMs(pid) - before) / done
  }
  await cost(ours, WARM_UP_MS)
  await cost(raw, WARM_UP_MS)
  const ratios: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const limit = await cost(raw, ROUND_MS)
    ratios.push((await cost(ours, ROUND_MS)) / limit)
  }
  return median(ratios)
}
