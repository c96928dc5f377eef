import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startStripe } from '@agentctl/localcloud/stripe/stripe.ts'
import { serve } from '@hono/node-server'
import { afterAll } from 'vitest'
import { testDatabase } from '../../../../../test/database.ts'
import { readConfig } from '../../platform/config.ts'
import { openPool } from '../../platform/db.ts'
import { type Caller, createApi } from '../../platform/http.ts'
import { newId } from '../../platform/ids.ts'
import { jsonLog } from '../../platform/log.ts'
import { startWorker, type Work, type Worker } from '../../platform/operations.ts'
import { openCards } from '../../providers/cards/stripe.ts'
import { STRIPE_FIELDS } from '../../providers/processors.ts'
import { openTransport } from '../../providers/transport.ts'
import { cardWork } from '../card-operations.ts'
import { cardRoutes } from '../card-routes.ts'

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads out of an answer is its own affair
  body: any
}

/** Payments by card as in production: the routes on a real address, a worker, a database, and the processor's stand-in. */
export async function cardShop({
  env = {},
  timeoutMs = 8_000,
}: {
  env?: Record<string, string>
  /** How long the processor is waited for. */
  timeoutMs?: number
} = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-cards-'))
  const database = await testDatabase()
  const stripe = await startStripe({ dataDir, log: () => {} })
  const sql = openPool(database.url, { connectionsMax: 2 })
  let movedMs = 0
  const clock = { now: () => new Date(Date.now() + movedMs) }
  const config = readConfig({
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    API_URL: 'https://api.example.com',
    TWILIO_ACCOUNT_SID: 'none',
    TWILIO_AUTH_TOKEN: 'none',
    TWILIO_VERIFY_SERVICE_SID: 'none',
    PRIVACY_CONTACT: 'privacy@example.com',
    VULTR_API_KEY: 'none',
    CHAIN_RPC_URL: 'http://127.0.0.1:9',
    MACHINE_NODE_FILE: 'none',
    MACHINE_RUNNER_FILE: 'none',
    STRIPE_SECRET_KEY: stripe.secretKey,
    STRIPE_WEBHOOK_SECRET: stripe.webhookSecret,
    STRIPE_BASE_URL: stripe.url,
    ...env,
  })
  let logged = ''
  const log = jsonLog((line) => {
    logged += line
  })
  const transport = openTransport({
    processors: [stripe.url],
    infrastructure: [],
    fields: { [stripe.url]: STRIPE_FIELDS },
  })
  const cards = config.stripe && openCards({ stripe: config.stripe, transport, log, timeoutMs })
  const deps = { config, db: database.db, clock, log, cards }
  const callers = new Map<string, Caller>()
  const api = createApi({
    gates: { caller: async (bearer) => callers.get(bearer), machine: async () => undefined },
    log,
    clientAddressHeader: undefined,
  })
  cardRoutes(api, deps)
  const server = serve({ fetch: api.app.fetch, hostname: '127.0.0.1', port: 0 })
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  stripe.setWebhook(`${url}/v1/webhooks/stripe`)
  const workers = new Set<Worker>()
  afterAll(async () => {
    await Promise.all([...workers].map((worker) => worker.stop()))
    await stripe.stop()
    server.close()
    await Promise.all([sql.end({ timeout: 5 }), transport.close()])
    rmSync(dataDir, { recursive: true, force: true })
  })

  const control = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const answer = await fetch(`${stripe.url}/_local${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    const read: Answer = { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
    if (!answer.ok) throw new Error(`${method} ${path}: ${text}`)
    return read
  }

  return {
    deps,
    app: api.app,
    url,
    stripe,
    sql,
    control,
    logged: () => logged,
    advance(seconds: number) {
      movedMs += seconds * 1000
      writeFileSync(join(dataDir, 'clock'), String(movedMs))
    },
    async work(kinds: Record<string, Work> = cardWork(deps)): Promise<Worker> {
      const worker = await startWorker({ ...deps, leaseSeconds: 2 }, kinds)
      const stop = worker.stop.bind(worker)
      const listed: Worker = {
        isAlive: worker.isAlive,
        async stop() {
          workers.delete(listed)
          await stop()
        },
      }
      workers.add(listed)
      return listed
    },
    fault: (fault: Record<string, unknown>) => control('POST', '/faults', fault),
    /** What the processor was asked, without what the tests themselves ask. */
    async asked(path: string, method = 'POST'): Promise<{ status: number | null; body: string }[]> {
      return (await control('GET', `/requests?method=${method}&path=${path}`)).body
    },
    /** Sends a webhook as it is. */
    async tell(body: string, signature: string): Promise<Answer> {
      const response = await fetch(`${url}/v1/webhooks/stripe`, {
        method: 'POST',
        headers: { 'stripe-signature': signature, 'content-type': 'application/json' },
        body,
      })
      return { status: response.status, body: await response.json() }
    },
    async person() {
      const account = newId('acc')
      const now = clock.now()
      await sql`insert into accounts (id, created_at, terms_accepted_at) values (${account}, ${now}, ${now})`
      callers.set(account, {
        accountId: account,
        via: 'session',
        credentialId: newId('ses'),
        scopes: 'all',
        namespaceId: null,
        authenticatedAt: now,
      })
      const call = async (method: string, path: string, body?: unknown, key?: string): Promise<Answer> => {
        const response = await api.app.request(path, {
          method,
          headers: {
            authorization: `Bearer ${account}`,
            ...(key === undefined ? {} : { 'idempotency-key': key }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
        return { status: response.status, body: await response.json() }
      }
      const topUp = (dollars: number, key: string = newId('req')) =>
        call('POST', '/v1/billing/checkouts', { amountMicros: String(dollars * 1_000_000) }, key)
      return {
        account,
        call,
        topUp,
        /** A page that waits for a payment, with what the processor calls it. */
        async checkout(dollars: number) {
          const { status, body } = await topUp(dollars)
          if (status !== 201) throw new Error(JSON.stringify(body))
          const session = String(new URL(body.url).pathname.split('/').at(-1))
          const payment = async (): Promise<string> => {
            const { body } = await control('GET', '/sessions')
            return body.find((one: { id: string }) => one.id === session).paymentIntent
          }
          return {
            id: String(body.id),
            session,
            payment,
            show: async () => (await call('GET', `/v1/billing/checkouts/${body.id}`)).body,
            pay: (how = 'card') => control('POST', `/sessions/${session}/pay`, { how }),
            settle: (outcome: string) => control('POST', `/sessions/${session}/settle`, { outcome }),
          }
        },
        /** Whole dollars and cents of the balance. */
        async dollars(): Promise<number> {
          const [row] = await sql<{ micros: string }[]>`
            select balance_micros::text as micros
            from billing_accounts join ledger_balances using (ledger_account_id) where account_id = ${account}`
          return Number(row?.micros ?? 0) / 1_000_000
        },
        async entries(): Promise<string[]> {
          const rows = await sql<{ kind: string; micros: string }[]>`
            select t.kind, e.amount_micros::text as micros
            from billing_accounts b join ledger_entries e using (ledger_account_id)
              join ledger_transactions t on t.key = e.transaction_key
            where account_id = ${account} order by e.sequence`
          return rows.map(({ kind, micros }) => `${kind} ${Number(micros) / 1_000_000}`)
        },
      }
    },
    /** Until nothing is left to be worked on at once, and nothing to be told. */
    async quiet(): Promise<void> {
      await eventually(async () => {
        // In this order: what is told between the two looks has become work by the second.
        const { body } = await control('GET', '/events')
        const waiting = body.some((one: { delivery: string }) => one.delivery === 'waiting')
        const [row] = await sql<{ count: number }[]>`
          select count(*)::int as count from operations where kind = 'card-event' and state = 'pending'`
        return row?.count === 0 && !waiting
      })
    },
  }
}

/** Waits for a condition, with a deadline. */
export async function eventually(look: () => Promise<boolean>, withinMs = 15_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error('It did not come to pass.')
    await pause(20)
  }
}
