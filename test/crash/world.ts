import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Cloudflare } from '@agentctl/localcloud/cloudflare/cloudflare.ts'
import { freePort } from '@agentctl/localcloud/free-port.ts'
import { startVultr } from '@agentctl/localcloud/vultr/vultr.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { ORPHAN_SECONDS } from '@agentctl/server/agents/sweep.ts'
import { openPool, type Pool } from '@agentctl/server/platform/db.ts'
import { newToken, tokenHash } from '@agentctl/server/platform/tokens.ts'
import { bundledServer } from './bundled-server.ts'
import { Control } from './control.ts'
import { openZone } from './domain-zone.ts'
import { PatientClient } from './patient-client.ts'
import { openPaymentStandIns, type PaymentStandIns } from './payment-stand-ins.ts'
import { RestartedProcess } from './restarted-process.ts'
import { hastenOperation, untilFirstVisits, visitOperations } from './visit.ts'
import { signUp } from './world-account.ts'
import { WorldClock } from './world-clock.ts'

const root = dirname(dirname(import.meta.dirname))
const START_MS = 120_000
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
 * for the worker, the machines' runners, and the stand-ins for all that its clock moves. What is shared with other shards
 * is PostgreSQL.
 */
export interface World {
  name: string
  control: Control
  api: PatientClient
  routerPort: number
  /** Who is logged in. */
  account: string
  /** One of those who run the service. */
  operator: PatientClient
  /** Chain and card processor. */
  payments: PaymentStandIns
  /** Where users' own names are, a zone of this world's own; undefined where none are taken. */
  cloudflare: Cloudflare | undefined
  /** As the owner of the tables, who sees everything. */
  sql: Pool
  processes: { server: RestartedProcess; worker: RestartedProcess }
  /** Settings of its servers, for another one beside them. */
  environment: Record<string, string>
  blobFolder: string
  vultrUrl: string
  /** Moves the clock of this world; its login stays as old as it was. */
  advance(seconds: number): Promise<void>
  now(): Date
  /** Has the worker visit the operations of a kind now, and resolves when all went well. */
  visit(kind: string): Promise<void>
  /** The same for all that is done again and again, whether or not anything has happened. */
  visitRepeated(): Promise<void>
  /** Leaves out the pause that is made before the next look at a subject. */
  hasten(subject: string): Promise<void>
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
  folder: string,
  name: string,
  {
    postgresUrl,
    takesDomains = false,
    settings = {},
    naive,
  }: {
    /** Of a server in which it makes a database of its own. */
    postgresUrl: string
    /** Whether there is Cloudflare, with a DNS and an edge. */
    takesDomains?: boolean | undefined
    /** Of its servers, beyond those that all worlds have. */
    settings?: Record<string, string> | undefined
    /** What its servers do naively, see `bundled-server.ts`. */
    naive?: string | undefined
  },
): Promise<World> {
  const home = join(folder, name)
  mkdirSync(home, { recursive: true })
  const control = new Control(join(home, 'control'))
  const compileCache = join(folder, 'compile-cache')
  // A copy, for a build meanwhile would take away what the machines were told to fetch.
  const runner = join(home, 'runner.cjs')
  copyFileSync(join(root, 'packages/runner/dist/runner.cjs'), runner)
  const program = await bundledServer(folder, naive)
  const admin = openPool(postgresUrl, { connectionsMax: 1 })
  const database = `${name.replaceAll('-', '_')}_${process.pid}`
  await admin.unsafe(`create database ${database}`)
  const databaseUrl = new URL(postgresUrl)
  databaseUrl.pathname = `/${database}`
  const clock = new WorldClock(join(home, 'clock'))
  const sql = openPool(databaseUrl.href, { connectionsMax: 3 })
  // A restart of the database is for the servers: what looks at them goes on.
  sql.options.connection.application_name = 'crash-test'
  const port = await freePort()
  const routerPort = await freePort()
  const apiUrl = `http://127.0.0.1:${port}`
  // Plain processes: the runners' Node is wrapped by a script that needs this checkout, which a sandbox would not show.
  const vultr = await startVultr({ dataDir: home, sandbox: 'none', log: () => {} })
  const payments = await openPaymentStandIns(home, apiUrl)
  const zone = takesDomains ? await openZone(home, routerPort) : undefined
  const api = new PatientClient(apiUrl, CALL_MS)
  const operator = new PatientClient(apiUrl, CALL_MS)
  operator.token = newToken('o').reveal()
  const environment: Record<string, string> = {
    ...payments.environment,
    ...zone?.environment,
    PORT: String(port),
    ROUTER_PORT: String(routerPort),
    API_URL: apiUrl,
    DATABASE_URL: databaseUrl.href,
    DATA_DIR: home,
    // Moved for this world alone.
    CLOCK_FILE: clock.file,
    // Nobody logs in by phone.
    TWILIO_ACCOUNT_SID: 'none',
    TWILIO_AUTH_TOKEN: 'none',
    TWILIO_VERIFY_SERVICE_SID: 'none',
    PRIVACY_CONTACT: 'privacy@example.com',
    VULTR_API_KEY: vultr.apiKey,
    VULTR_BASE_URL: vultr.url,
    VULTR_ENVIRONMENT: name,
    OPERATORS: `crash=${tokenHash(operator.token).toString('hex')}`,
    LEASE_SECONDS: String(LEASE_SECONDS),
    MACHINE_RUNNER_FILE: runner,
    MACHINE_NODE_FILE: wrapNode(home, control, compileCache),
    // The agents of this test install nothing, and each new machine would unpack it.
    MACHINE_NPM_FILE: '',
    NODE_COMPILE_CACHE: compileCache,
    ...settings,
  }
  const others: RestartedProcess[] = []
  /** A dead worker's leases run out by themselves, which takes seconds each time; no other worker has any. */
  const endLeases = async (): Promise<void> => {
    if (others.length > 0) return
    await sql`
      update operations set lease_until = clock_timestamp(), run_at = least(run_at, clock_timestamp())
      where state = 'pending' and lease_until is not null`
  }
  const points = ['--import', join(import.meta.dirname, 'points.ts')]
  const start = (role: 'server' | 'worker', chosen: string, imports: string[]): RestartedProcess =>
    new RestartedProcess(
      ['--disable-warning=ExperimentalWarning', ...imports, program, '--roles', chosen],
      { ...environment, CRASH_POINTS: control.folder, CRASH_ROLE: role },
      join(home, `${role}.log`),
      role === 'worker' ? endLeases : undefined,
    )
  const processes = {
    server: start('server', 'api,router', points),
    worker: start('worker', 'worker', points),
  }
  const stop = async (): Promise<void> => {
    await Promise.all([processes.server, processes.worker, ...others].map((one) => one.stop()))
    await Promise.all([vultr.stop(), payments.stop(), zone?.cloudflare.stop()])
    await sql.end({ timeout: 5 })
    await admin.unsafe(`drop database if exists ${database} with (force)`)
    await admin.end({ timeout: 5 })
  }
  let account: string
  let repeated: string[]
  try {
    const isUp = await waitUntil(() => answers(`${apiUrl}/v1/health`), { withinMs: START_MS })
    if (!isUp) throw new Error(`The server of ${name} does not start; its log is ${home}/server.log.`)
    repeated = await untilFirstVisits(sql)
    const person = await signUp(databaseUrl.href)
    api.token = person.token
    account = person.account
  } catch (error) {
    await stop()
    throw error
  }
  const advance = async (seconds: number): Promise<void> => {
    // Before the clock: no server may find the session too old in between.
    await sql`
      update sessions set expires_at = expires_at + make_interval(secs => ${seconds}),
        last_used_at = last_used_at + make_interval(secs => ${seconds})`
    await clock.advance(seconds)
  }
  return {
    name,
    control,
    api,
    routerPort,
    account,
    operator,
    payments,
    cloudflare: zone?.cloudflare,
    sql,
    processes,
    environment,
    blobFolder: join(home, 'blobs'),
    vultrUrl: vultr.url,
    advance,
    now: () => clock.now(),
    visit: (kind) => visitOperations(sql, kind),
    visitRepeated: () => visitOperations(sql, ...repeated),
    hasten: (subject) => hastenOperation(sql, subject),
    async listInstances() {
      const response = await fetch(`${vultr.url}/v2/instances?per_page=500`, {
        headers: { authorization: `Bearer ${vultr.apiKey}` },
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
      const response = await fetch(`${vultr.url}/v2/snapshots?per_page=500`, {
        headers: { authorization: `Bearer ${vultr.apiKey}` },
      })
      const { snapshots } = (await response.json()) as { snapshots: { description: string }[] }
      const prefix = `agentctl:${name}:`
      return snapshots.flatMap(({ description }) =>
        description.startsWith(prefix) ? [description.slice(prefix.length)] : [],
      )
    },
    async cutDatabase(refusingMs) {
      await admin.unsafe(`alter database ${database} allow_connections false`)
      await admin`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = ${database} and application_name <> 'crash-test'`
      setTimeout(() => {
        admin.unsafe(`alter database ${database} allow_connections true`).catch(() => {})
      }, refusingMs)
    },
    async sweep() {
      const look = () => sql`update operations set run_at = clock_timestamp() where kind = 'sweep'`
      const sightings = async (): Promise<number> => (await sql`select 1 from orphan_sightings`).length
      await look()
      await waitUntil(async () => (await sightings()) > 0, { withinMs: SWEEP_MS, everyMs: 20 })
      await advance(ORPHAN_SECONDS + 1)
      await look()
      await waitUntil(async () => (await sightings()) === 0, { withinMs: SWEEP_MS, everyMs: 20 })
    },
    startSecondWorker() {
      const other = start('worker', 'worker', [])
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

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  )
}
