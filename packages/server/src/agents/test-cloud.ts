import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { AgentConfig, ManifestFile } from '@agentctl/contract/agent-config.ts'
import type { Agent, Release } from '@agentctl/contract/agents.ts'
import { BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import type { Desired, LogLine, Report } from '@agentctl/contract/runner.ts'
import { startVultr } from '@agentctl/localcloud/vultr/vultr.ts'
import type { Hono } from 'hono'
import { afterAll } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { ledgerAccountOf, post } from '../billing/ledger.ts'
import { meterSubject, visitMeters } from '../billing/meter-operation.ts'
import type { Deps } from '../deps.ts'
import { fileBlobs } from '../platform/blobs.ts'
import { readConfig } from '../platform/config.ts'
import { openPool } from '../platform/db.ts'
import { type Api, type Caller, createApi } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { openKeyring } from '../platform/keyring.ts'
import { silentLog } from '../platform/log.ts'
import { startOperation, startWorker, type Work, type Worker } from '../platform/operations.ts'
import type { WarmMachines } from '../platform/warm-config.ts'
import { openMachines } from '../providers/machines/vultr.ts'
import { VULTR_FIELDS } from '../providers/processors.ts'
import { openTransport } from '../providers/transport.ts'
import { blobHeader } from './blob-stream.ts'
import { wakeKeepWarm } from './keep-warm-operation.ts'
import { machineGate } from './machines.ts'
import { agentWork, scheduleAgentWork } from './operations.ts'
import type { RefusedNames } from './plan.ts'
import { agentRoutes } from './routes.ts'

/** An address at which nobody answers: machines boot for real, and the test speaks for their runners. */
const NOBODY = 'http://127.0.0.1:1'

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'blobs' | 'log' | 'machines'>

export interface TestCloud {
  deps: Parts
  app: Hono
  vultr: { url: string; apiKey: string }
  /** As the owner of the tables: sees and changes everything. */
  sql: ReturnType<typeof openPool>
  /** How long machines take to boot, and the provider's own clock, by which they do. */
  bootSeconds(seconds: number): Promise<void>
  advanceProvider(seconds: number): void
  /** Moves business time. */
  advance(seconds: number): void
  /** A new account with a namespace of its own, and 25 dollars unless told. */
  person(name: string, creditsMicros?: bigint): Promise<Person>
  /** Credits an account with a deposit. */
  deposit(person: Pick<Person, 'account'>, micros: bigint): Promise<void>
  /** The work that repeats for ever: meters, suspension, sweeps, retention. */
  workForEver(): Promise<Worker>
  work(kinds?: Record<string, Work>, leaseSeconds?: number): Promise<Worker>
  fault(fault: {
    kind: string
    method?: string
    path: string
    times?: number | null
    status?: number
    headers?: Record<string, string>
    body?: unknown
  }): Promise<void>
  /** Takes the faults away again. */
  noFaults(): Promise<void>
  instances(): Promise<{ id: string; label: string; tags: readonly string[] }[]>
  /** Descriptions of the snapshots at the provider. */
  snapshots(): Promise<string[]>
  /** What an agent burns now, in micro-USD an hour; 0 for nothing. */
  rate(agentId: string): Promise<number>
  /** What is kept ready from now on, by size. */
  keepWarm(sizes: WarmMachines['sizes'], monthlyBudgetMicros?: bigint): Promise<void>
  /** Speaks for the runner of a blank machine, which has traded its token and may wait. */
  blankMachine(after?: readonly TestMachine[]): Promise<TestMachine>
  /** Speaks for the runner of the newest machine of an agent, once that is another one than the given. */
  machineOf(agentId: string, after?: TestMachine): Promise<TestMachine>
}

export interface Person {
  account: string
  namespaceId: string
  namespace: string
  caller: Caller
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  upload(...contents: string[]): Promise<Answer>
  /** Uploads and deploys one file; the answer of the deploy. */
  deploy(agent: string, content: string, config?: Partial<AgentConfig>): Promise<Answer>
}

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads out of an answer is its own affair
  body: any
}

export const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex')

export const file = (path: string, content: string): ManifestFile => ({
  path,
  sha256: sha256(content),
  size: Buffer.byteLength(content),
  executable: false,
})

export const plainConfig: AgentConfig = {
  size: 'small',
  install: null,
  start: 'node index.js',
  port: null,
  health: { path: '/', timeoutSeconds: 60 },
  env: {},
  domains: [],
}

export async function testCloud({
  apiUrl = NOBODY,
  mount = () => {},
  refusedNames = () => async () => [],
  vultrTimeoutMs = 30_000,
  ...programs
}: {
  apiUrl?: string
  /** Mounts routes of rooms above this one. */
  mount?: (api: Api, deps: Parts, stopping: AbortSignal) => void
  refusedNames?: (deps: Parts) => RefusedNames
  /** How long the provider of machines is waited for. */
  vultrTimeoutMs?: number
  nodeFile?: string
  runnerFile?: string
} = {}): Promise<TestCloud> {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-agents-'))
  const database = await testDatabase()
  const vultr = await startVultr({ dataDir: folder, log: () => {} })
  const sql = openPool(database.url, { connectionsMax: 2 })
  afterAll(async () => {
    await vultr.stop()
    await sql.end({ timeout: 5 })
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  const bootSeconds = async (seconds: number): Promise<void> => {
    await fetch(`${vultr.url}/_local/settings`, {
      method: 'POST',
      body: JSON.stringify({ bootSeconds: seconds }),
    })
  }
  await bootSeconds(0)
  const program = (name: string): string => {
    const path = join(folder, name)
    writeFileSync(path, `not really ${name}`)
    return path
  }
  let movedMs = 0
  let providerMs = 0
  const config = readConfig({
    DATABASE_URL: database.url,
    DATA_DIR: folder,
    API_URL: apiUrl,
    TWILIO_ACCOUNT_SID: 'none',
    TWILIO_AUTH_TOKEN: 'none',
    TWILIO_VERIFY_SERVICE_SID: 'none',
    PRIVACY_CONTACT: 'privacy@example.com',
    VULTR_API_KEY: vultr.apiKey,
    VULTR_BASE_URL: vultr.url,
    VULTR_ENVIRONMENT: 'test',
    CHAIN_RPC_URL: NOBODY,
    MACHINE_NODE_FILE: programs.nodeFile ?? program('node'),
    MACHINE_RUNNER_FILE: programs.runnerFile ?? program('runner.cjs'),
  })
  const transport = openTransport({
    processors: [vultr.url],
    infrastructure: [],
    fields: { [vultr.url]: VULTR_FIELDS },
  })
  afterAll(() => transport.close())
  const deps: Parts = {
    config,
    db: database.db,
    clock: { now: () => new Date(Date.now() + movedMs) },
    log: silentLog,
    keyring: openKeyring(config.keyringFile),
    blobs: fileBlobs(join(folder, 'blobs')),
    machines: openMachines(config, {
      transport,
      log: silentLog,
      timeoutMs: vultrTimeoutMs,
      pause: briefly,
    }),
  }
  const callers = new Map<string, Caller>()
  const stopping = new AbortController()
  afterAll(() => stopping.abort())
  const api = createApi({
    gates: { caller: async (bearer) => callers.get(bearer), machine: machineGate(deps) },
    log: silentLog,
    clientAddressHeader: undefined,
  })
  agentRoutes(api, deps, stopping.signal, refusedNames(deps))
  mount(api, deps, stopping.signal)
  const { app } = api

  const call = async (
    bearer: string,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Answer> => {
    const response = await app.request(path, {
      method,
      ...(signal && { signal }),
      headers: {
        authorization: `Bearer ${bearer}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, body: isJson ? JSON.parse(text) : text }
  }

  const cloud: TestCloud = {
    deps,
    app,
    vultr,
    sql,
    bootSeconds,
    advanceProvider(seconds) {
      providerMs += seconds * 1000
      writeFileSync(join(folder, 'clock'), String(providerMs))
    },
    advance(seconds) {
      movedMs += seconds * 1000
    },
    async deposit({ account }, micros) {
      const now = deps.clock.now()
      await deps.db.work(async (tx) => {
        await post(tx, {
          key: newId('dep'),
          kind: 'deposit',
          reference: 'test',
          ledgerAccount: await ledgerAccountOf(tx, account, now),
          amountMicros: micros,
          against: 'sys_treasury',
          at: now,
        })
      })
    },
    async workForEver() {
      const now = deps.clock.now()
      await scheduleAgentWork(deps)
      await startOperation(deps.db.jobs, {
        kind: 'charge-meters',
        subject: meterSubject,
        namespaceId: null,
        now,
      })
      return cloud.work({
        ...agentWork(deps),
        'charge-meters': (operation, lease) => visitMeters(deps, operation, lease),
      })
    },
    async person(name, creditsMicros = 25_000_000n) {
      const account = newId('acc')
      const namespaceId = newId('ns')
      const now = deps.clock.now()
      await sql`insert into accounts (id, created_at, terms_accepted_at) values (${account}, ${now}, ${now})`
      await sql`
        insert into namespaces (id, name, owner_account_id, created_at) values (${namespaceId}, ${name}, ${account}, ${now})`
      await sql`
        insert into members (namespace_id, account_id, role, created_at) values (${namespaceId}, ${account}, 'owner', ${now})`
      const caller: Caller = {
        accountId: account,
        via: 'session',
        credentialId: newId('ses'),
        scopes: 'all',
        namespaceId: null,
        authenticatedAt: now,
      }
      callers.set(account, caller)
      if (creditsMicros > 0n) await cloud.deposit({ account }, creditsMicros)
      const person: Person = {
        account,
        namespaceId,
        namespace: name,
        caller,
        call: (...request) => call(account, ...request),
        async upload(...contents) {
          const response = await app.request('/v1/blobs', {
            method: 'POST',
            headers: { authorization: `Bearer ${account}`, 'content-type': BLOB_STREAM_MEDIA_TYPE },
            body: Buffer.concat(
              contents.flatMap((content) => [
                blobHeader(sha256(content), Buffer.byteLength(content)),
                Buffer.from(content),
              ]),
            ),
          })
          return { status: response.status, body: await response.json() }
        },
        async deploy(agent, content, config = {}) {
          await person.upload(content)
          const request = {
            name: agent,
            config: { ...plainConfig, ...config },
            files: [file('index.js', content)],
          }
          return person.call('POST', '/v1/deploys', request, { 'idempotency-key': newId('req') })
        },
      }
      return person
    },
    async work(kinds = agentWork(deps), leaseSeconds = 5) {
      const worker = await startWorker({ ...deps, leaseSeconds }, kinds)
      afterAll(() => worker.stop())
      return worker
    },
    async fault(fault) {
      const response = await fetch(`${vultr.url}/_local/faults`, {
        method: 'POST',
        body: JSON.stringify(fault),
      })
      if (!response.ok) throw new Error(await response.text())
    },
    async noFaults() {
      await fetch(`${vultr.url}/_local/faults`, { method: 'DELETE' })
    },
    instances: () =>
      deps.machines.listOurs().then((all) => all.map(({ id, label, tags }) => ({ id, label, tags }))),
    snapshots: () => deps.machines.listOurSnapshots().then((all) => all.map(({ label }) => label)),
    async rate(agentId) {
      const [row] = await sql<{ rate: number }[]>`
        select rate_micros::int as rate from meters where subject = ${agentId} and to_at is null`
      return row?.rate ?? 0
    },
    async keepWarm(kept, monthlyBudgetMicros) {
      config.warm = { sizes: kept, monthlyBudgetMicros }
      await wakeKeepWarm(deps)
    },
    async blankMachine(after = []) {
      const known = after.map(({ id }) => id)
      const blank = await eventually(async () => {
        const [row] = await sql<{ id: string; providerId: string }[]>`
          select id, provider_id as "providerId" from warm_machines
          where state = 'created' and id <> all(${known}) order by created_at limit 1`
        return row
      })
      const machine = await runnerOf(blank)
      await machine.waits()
      await eventually(async () => {
        const aside = new AbortController()
        const held = machine.waits(aside.signal)
        const [warm] = await sql`select 1 from warm_machines where id = ${machine.id} and state = 'warm'`
        aside.abort()
        await held
        return warm && true
      })
      return machine
    },
    async machineOf(agentId, after) {
      const machine = await eventually(async () => {
        const [row] = await sql<{ id: string; providerId: string }[]>`
          select id, provider_id as "providerId" from machines
          where agent_id = ${agentId} and state in ('created', 'ready') and id <> ${after?.id ?? ''} order by generation desc limit 1`
        return row
      })
      return runnerOf(machine)
    },
  }
  const runnerOf = async (machine: { id: string; providerId: string }): Promise<TestMachine> => {
    const response = await fetch(`${vultr.url}/v2/instances/${machine.providerId}/user-data`, {
      headers: { authorization: `Bearer ${vultr.apiKey}` },
    })
    const { user_data } = (await response.json()) as { user_data: { data: string } }
    const script = Buffer.from(user_data.data, 'base64').toString()
    const bootstrapToken = /actl_b_[0-9A-Za-z]{36}/.exec(script)?.[0] ?? ''
    return new TestMachine(machine.id, bootstrapToken, (token, path, body, signal) =>
      call(token, 'POST', path, body, {}, signal),
    )
  }
  return cloud
}

/** What a provider's trouble has a call wait for, a hundred times shorter. */
export const briefly = (ms: number): Promise<void> => pause(ms / 100)

type MachineCall = (token: string, path: string, body: unknown, signal?: AbortSignal) => Promise<Answer>

/** Speaks the protocol of a runner. */
export class TestMachine {
  readonly id: string
  bootstrapToken: string
  token = 'none'
  revision = -1
  readonly #call: MachineCall
  #sequence = 0

  constructor(id: string, bootstrapToken: string, call: MachineCall) {
    this.id = id
    this.bootstrapToken = bootstrapToken
    this.#call = call
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.#call(this.token, path, body)
  }

  async hello(): Promise<Answer> {
    const body = { bootstrapToken: this.bootstrapToken, protocol: 1, runnerSha256: sha256('runner') }
    const answer = await this.post('/v1/runner/hello', body)
    if (answer.status === 200) this.token = answer.body.machineToken
    return answer
  }

  /** One greeting of a blank machine, until it is answered or hangs up. */
  async waits(signal?: AbortSignal): Promise<Answer> {
    const body = { bootstrapToken: this.bootstrapToken, protocol: 1, runnerSha256: sha256('runner') }
    const answer = await this.#call('none', '/v1/runner/hello', body, signal)
    this.bootstrapToken = answer.body.bootstrapToken ?? this.bootstrapToken
    this.token = answer.body.machineToken ?? this.token
    return answer
  }

  async poll(): Promise<Desired> {
    const body = { protocol: 1, runnerSha256: sha256('runner'), revision: this.revision, port: 7070 }
    const answer = await this.post('/v1/runner/poll', body)
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
    this.revision = answer.body.revision
    return answer.body
  }

  /** Polls until this release is desired. */
  async learns(releaseId: string): Promise<Desired> {
    for (;;) {
      const desired = await this.poll()
      if (desired.release?.id === releaseId) return desired
    }
  }

  /** Polls until it is told to forget, and says that it has. */
  async forgets(): Promise<void> {
    for (;;) {
      const desired = await this.poll()
      if (!desired.forget) continue
      const body = { protocol: 1, runnerSha256: sha256('runner'), revision: this.revision, port: 7070 }
      await this.post('/v1/runner/poll', { ...body, emptied: true })
      return
    }
  }

  report(releaseId: string, state: Report['state'], more: Partial<Report> = {}): Promise<Answer> {
    return this.post('/v1/runner/reports', { releaseId, state, ...more })
  }

  log(at: Date, ...texts: string[]): Promise<Answer> {
    const lines: LogLine[] = texts.map((text) => ({
      sequence: this.#sequence++,
      at: at.toISOString(),
      stream: 'stdout',
      releaseId: null,
      text,
    }))
    return this.post('/v1/runner/logs', { lines })
  }
}

/** Waits for a condition, with a deadline. */
export async function eventually<T>(look: () => Promise<T | undefined>, withinMs = 15_000): Promise<T> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error('It did not come to pass.')
    await pause(20)
  }
}

/** Has the live operation of a subject visited now. */
export const due = ({ sql }: Pick<TestCloud, 'sql'>, subject: string) =>
  sql`update operations set run_at = clock_timestamp() where subject = ${subject} and state = 'pending'`

/** The release once it has ended. */
export function ended(person: Person, releaseId: string): Promise<Release> {
  return eventually(async () => {
    const { body } = await person.call('GET', `/v1/releases/${releaseId}`)
    return body.status === 'pending' || body.status === 'starting' ? undefined : body
  })
}

/** Deploys, and speaks for the machine until the release is live. */
export async function deployLive(
  cloud: TestCloud,
  person: Person,
  agent: string,
  content: string,
): Promise<{ agent: Agent; release: Release; machine: TestMachine }> {
  const { status, body } = await person.deploy(agent, content)
  if (status !== 202) throw new Error(JSON.stringify(body))
  const machine = await cloud.machineOf(body.agent.id)
  await machine.hello()
  await machine.learns(body.release.id)
  await machine.report(body.release.id, 'healthy')
  return { agent: body.agent, release: await ended(person, body.release.id), machine }
}
