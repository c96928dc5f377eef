import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { freePort } from '@agentctl/localcloud/free-port.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { ORPHAN_SECONDS } from '@agentctl/server/agents/sweep.ts'
import { openPool, type Pool } from '@agentctl/server/platform/db.ts'
import { privateKeyToAccount } from 'viem/accounts'
import type { Cloud } from '../../scripts/cloud.ts'
import { Control } from './control.ts'
import { PatientClient } from './patient-client.ts'
import { RestartedProcess } from './restarted-process.ts'

const root = dirname(dirname(import.meta.dirname))
const START_MS = 60_000
const CALL_MS = 60_000
const LEASE_SECONDS = 2
const SWEEP_MS = 5_000

/** An instance at the provider, as far as the invariants look at it. */
export interface ProviderInstance {
  id: string
  label: string
  tags: string[]
}

/**
 * One cloud of its own for one shard: a database, an environment at the provider, a process for API and router and one
 * for the worker, and the machines' runners. What is shared with other shards are PostgreSQL and the stand-ins.
 */
export interface World {
  name: string
  control: Control
  api: PatientClient
  routerPort: number
  /** As the owner of the tables, who sees everything. */
  sql: Pool
  processes: { server: RestartedProcess; worker: RestartedProcess }
  /** Settings of its servers, for another one beside them. */
  environment: Record<string, string>
  blobFolder: string
  vultrUrl: string
  /** What this world's environment has at the provider. */
  listInstances(): Promise<ProviderInstance[]>
  /** Whether somebody has been in the middle of a transaction for longer than a lease. */
  hasOpenTransaction(): Promise<boolean>
  /** Descriptions of this world's environment's snapshots at the provider. */
  listSnapshots(): Promise<string[]>
  /** Ends every connection to the database and refuses new ones for so long, as a restart does. */
  cutDatabase(refusingMs: number): Promise<void>
  /** Has the sweeper look twice, with the time between that it wants, at machines that nobody owns. */
  sweep(): Promise<void>
  /** Starts one more worker, whose points nobody hits. */
  startSecondWorker(): RestartedProcess
  stop(): Promise<void>
}

export async function openWorld(
  cloud: Cloud,
  folder: string,
  name: string,
  /** Modules loaded before the worker, such as one that makes it naive. */
  workerImports: string[] = [],
): Promise<World> {
  const home = join(folder, name)
  mkdirSync(home, { recursive: true })
  const control = new Control(join(home, 'control'))
  const compileCache = join(folder, 'compile-cache')
  // A copy, for a build meanwhile would take away what the machines were told to fetch.
  const runner = join(home, 'runner.cjs')
  copyFileSync(cloud.serverEnvironment.MACHINE_RUNNER_FILE ?? '', runner)
  const leftOut = join(home, 'left-out.json')
  writeFileSync(leftOut, JSON.stringify(await exportsOf(LEFT_OUT)))
  const admin = openPool(cloud.local.databaseUrl, { connectionsMax: 1 })
  const database = name.replaceAll('-', '_')
  await admin.unsafe(`create database ${database}`)
  const databaseUrl = new URL(cloud.local.databaseUrl)
  databaseUrl.pathname = `/${database}`
  const port = await freePort()
  const routerPort = await freePort()
  const environment: Record<string, string> = {
    ...cloud.serverEnvironment,
    PORT: String(port),
    ROUTER_PORT: String(routerPort),
    API_URL: `http://127.0.0.1:${port}`,
    DATABASE_URL: databaseUrl.href,
    DATA_DIR: home,
    // Moved for this world alone.
    CLOCK_FILE: join(home, 'clock'),
    VULTR_ENVIRONMENT: name,
    ...WITHOUT_DOMAINS,
    LEASE_SECONDS: String(LEASE_SECONDS),
    MACHINE_RUNNER_FILE: runner,
    MACHINE_NODE_FILE: wrapNode(home, control, compileCache),
    NODE_COMPILE_CACHE: compileCache,
  }
  const start = (
    role: 'server' | 'worker',
    chosen: string,
    imports: string[],
    again: string[] = [],
  ): RestartedProcess =>
    new RestartedProcess(
      [
        '--disable-warning=ExperimentalWarning',
        ...imports.flatMap((file) => ['--import', file]),
        join(root, 'packages/server/src/main.ts'),
        '--roles',
        chosen,
      ],
      { ...environment, CRASH_POINTS: control.folder, CRASH_ROLE: role, CRASH_LEFT_OUT: leftOut },
      join(home, `${role}.log`),
      again,
    )
  const points = join(import.meta.dirname, 'points.ts')
  const leavesOut = join(import.meta.dirname, 'left-out.ts')
  const processes = {
    // The first one has everything, for the login.
    server: start('server', 'api,router', [points], ['--import', leavesOut]),
    worker: start('worker', 'worker', [points, leavesOut, ...workerImports]),
  }
  const api = new PatientClient(`http://127.0.0.1:${port}`, CALL_MS)
  const sql = openPool(databaseUrl.href, { connectionsMax: 2 })
  const others: RestartedProcess[] = []
  const stop = async (): Promise<void> => {
    await Promise.all([processes.server, processes.worker, ...others].map((one) => one.stop()))
    await sql.end({ timeout: 5 })
    await admin.end({ timeout: 5 })
  }
  try {
    const isUp = await waitUntil(() => answers(`http://127.0.0.1:${port}/v1/health`), { withinMs: START_MS })
    if (!isUp) throw new Error(`The server of ${name} does not start; its log is ${home}/server.log.`)
    await logIn(api)
    await giveCredits(sql)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    name,
    control,
    api,
    routerPort,
    sql,
    processes,
    environment,
    blobFolder: join(home, 'blobs'),
    vultrUrl: cloud.local.vultr.url,
    async listInstances() {
      const response = await fetch(`${cloud.local.vultr.url}/v2/instances?per_page=500`, {
        headers: { authorization: `Bearer ${environment.VULTR_API_KEY}` },
      })
      const { instances } = (await response.json()) as { instances: ProviderInstance[] }
      return instances.filter((one) => one.tags.includes(`env:${name}`))
    },
    async hasOpenTransaction() {
      const open = await admin`
        select 1 from pg_stat_activity
        where datname = ${database} and state = 'idle in transaction'
          and state_change < clock_timestamp() - make_interval(secs => ${LEASE_SECONDS})`
      return open.length > 0
    },
    async listSnapshots() {
      const response = await fetch(`${cloud.local.vultr.url}/v2/snapshots?per_page=500`, {
        headers: { authorization: `Bearer ${environment.VULTR_API_KEY}` },
      })
      const { snapshots } = (await response.json()) as { snapshots: { description: string }[] }
      const prefix = `agentctl:${name}:`
      return snapshots.flatMap(({ description }) =>
        description.startsWith(prefix) ? [description.slice(prefix.length)] : [],
      )
    },
    async cutDatabase(refusingMs) {
      await admin.unsafe(`alter database ${database} allow_connections false`)
      await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${database}`
      setTimeout(() => {
        admin.unsafe(`alter database ${database} allow_connections true`).catch(() => {})
      }, refusingMs)
    },
    async sweep() {
      const look = () => sql`update operations set run_at = clock_timestamp() where kind = 'sweep'`
      const sightings = async (): Promise<number> => (await sql`select 1 from orphan_sightings`).length
      await look()
      await waitUntil(async () => (await sightings()) > 0, { withinMs: SWEEP_MS, everyMs: 20 })
      await api.call('POST', '/_local/clock', { body: { advanceSeconds: ORPHAN_SECONDS + 1 } })
      await look()
      await waitUntil(async () => (await sightings()) === 0, { withinMs: SWEEP_MS, everyMs: 20 })
    },
    startSecondWorker() {
      const other = start('worker', 'worker', [leavesOut])
      others.push(other)
      return other
    },
    stop,
  }
}

/**
 * The Node of the machines: a script of a few bytes that starts the Node of this run with the points before the runner.
 * Machines in this test are plain processes, so they see the files of this checkout.
 */
function wrapNode(home: string, control: Control, compileCache: string): string {
  const file = join(home, 'node')
  const points = join(import.meta.dirname, 'points.ts')
  writeFileSync(
    file,
    `#!/bin/sh
NODE_COMPILE_CACHE='${compileCache}' CRASH_POINTS='${control.folder}' CRASH_ROLE=runner \\
  exec '${process.execPath}' --disable-warning=ExperimentalWarning --import '${points}' "$@"
`,
    { mode: 0o755 },
  )
  return file
}

/** A zone belongs to one environment, and every world is one of its own. */
const WITHOUT_DOMAINS = {
  CLOUDFLARE_API_TOKEN: '',
  CLOUDFLARE_ZONE_ID: '',
  CLOUDFLARE_ZONE_NAME: '',
  CLOUDFLARE_FALLBACK_ORIGIN: '',
}

/** Libraries that only logins and payments use. */
const LEFT_OUT = ['ethers', 'libphonenumber-js/max', 'siwe', 'twilio', 'viem']

async function exportsOf(libraries: string[]): Promise<Record<string, string[]>> {
  const { resolve } = createRequire(join(root, 'packages/server/package.json'))
  const named = libraries.map(async (library): Promise<[string, string[]]> => {
    const module: object = await import(pathToFileURL(resolve(library)).href)
    return [library, [...new Set(['default', ...Object.keys(module).filter((name) => /^\w+$/.test(name))])]]
  })
  return Object.fromEntries(await Promise.all(named))
}

async function logIn(api: PatientClient): Promise<void> {
  const wallet = privateKeyToAccount(DEVELOPMENT_KEY)
  const { message } = await api.call<{ message: string }>('POST', '/v1/logins/wallet', {
    body: { address: wallet.address },
  })
  const signature = await wallet.signMessage({ message })
  const { token } = await api.call<{ token: string }>('POST', '/v1/logins/wallet/verify', {
    body: { message, signature, acceptTerms: true },
  })
  api.token = token
}

/** The first of the well-known accounts of development chains. */
const DEVELOPMENT_KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'

/** More than any run of this suite burns, as a deposit posts it. */
async function giveCredits(sql: Pool): Promise<void> {
  const [account] = await sql<{ id: string }[]>`select id from accounts`
  if (!account) throw new Error('Nobody is logged in.')
  const at = new Date()
  await sql`
    select ledger_post('crash', 'deposit', 'crash', ledger_account_of(${account.id}, 'lac_crash', ${at}), 'sys_treasury',
      1000000000::bigint, ${at})`
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  )
}
