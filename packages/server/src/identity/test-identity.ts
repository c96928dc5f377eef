import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startTwilio } from '@agentctl/localcloud/twilio/twilio.ts'
import type { Hono } from 'hono'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { afterAll } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import type { MovableClock } from '../platform/clock.ts'
import { type Config, readConfig } from '../platform/config.ts'
import type { Db } from '../platform/db.ts'
import { createApi } from '../platform/http.ts'
import { openKeyring, openPepper, type Pepper } from '../platform/keyring.ts'
import { jsonLog } from '../platform/log.ts'
import { openChain } from '../providers/chain/evm.ts'
import { TWILIO_FIELDS } from '../providers/processors.ts'
import { openSms } from '../providers/sms/twilio.ts'
import { openTransport } from '../providers/transport.ts'
import { callerGate } from './access.ts'
import { identityRoutes } from './routes.ts'

export interface Reply {
  status: number
  headers: Headers
  text: string
  /** The body as it was parsed; a test says what it expects of it. */
  json: Record<string, unknown>
}

export interface TestIdentity {
  app: Hono
  db: Db
  databaseUrl: string
  clock: MovableClock
  config: Config
  /** Everything that was logged so far. */
  logged(): string
  call(route: string, options?: CallOptions): Promise<Reply>
  /** Codes that a phone received, oldest first. */
  codes(phone: string): Promise<string[]>
  /** What the SMS provider was sent. */
  sentToProvider(): Promise<{ method: string; path: string; body: string }[]>
  /** Makes the SMS provider fail. */
  fault(fault: Record<string, unknown>): Promise<void>
  /** Replaces the pepper, as a restart with another file would. */
  usePeppers(...keys: { id: string; key: string }[]): void
  /** A session of a new account that logged in with a new wallet. */
  newAccount(): Promise<{ token: string; accountId: string; wallet: PrivateKeyAccount }>
}

export interface CallOptions {
  body?: unknown
  token?: string
  /** Address that the request comes from. */
  from?: string
}

export const PEPPER_1 = { id: '1', key: Buffer.alloc(32, 1).toString('base64') }
export const PEPPER_2 = { id: '2', key: Buffer.alloc(32, 2).toString('base64') }

let addresses = 0

/** The routes of this room on a real database, against the stand-in of the SMS provider, at a time that stands still. */
export async function testIdentity(
  options: { env?: Record<string, string>; rpcUrl?: string; smsTimeoutMs?: number } = {},
): Promise<TestIdentity> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-identity-'))
  const database = await testDatabase()
  const twilio = await startTwilio({ dataDir, log: () => {} })
  afterAll(async () => {
    await twilio.stop()
    await transport.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const config = readConfig({
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    API_URL: 'https://api.example.com',
    TWILIO_ACCOUNT_SID: twilio.accountSid,
    TWILIO_AUTH_TOKEN: twilio.authToken,
    TWILIO_VERIFY_SERVICE_SID: twilio.serviceSid,
    PRIVACY_CONTACT: 'privacy@example.com',
    TWILIO_BASE_URL: twilio.url,
    VULTR_API_KEY: 'unused',
    CHAIN_ID: '31337',
    // Nothing listens there: a login with a key must not need a node.
    CHAIN_RPC_URL: options.rpcUrl ?? 'http://127.0.0.1:9',
    MACHINE_NODE_FILE: 'unused',
    MACHINE_RUNNER_FILE: 'unused',
    ...options.env,
  })
  const startedAt = Date.now()
  let aheadSeconds = 0
  const clock: MovableClock = {
    now: () => new Date(startedAt + aheadSeconds * 1000),
    advance(seconds) {
      aheadSeconds += seconds
      writeFileSync(join(dataDir, 'clock'), String(aheadSeconds * 1000))
      return this.now()
    },
  }
  let logged = ''
  const log = jsonLog((line) => {
    logged += line
  })
  const transport = openTransport({
    processors: [config.twilio.baseUrl],
    infrastructure: [config.chain.rpcUrl],
    fields: { [config.twilio.baseUrl]: TWILIO_FIELDS },
  })
  const peppers = (keys: { id: string; key: string }[]): Pepper => {
    const path = join(dataDir, 'pepper.json')
    writeFileSync(path, JSON.stringify({ keys }))
    return openPepper(path)
  }
  const deps = {
    config,
    db: database.db,
    clock,
    log,
    pepper: peppers([PEPPER_1]),
    keyring: openKeyring(join(dataDir, 'keyring.json')),
    sms: openSms({ config, transport, log, timeoutMs: options.smsTimeoutMs ?? 8_000 }),
    chain: openChain({ config, transport, log }),
    policyDayAt: () => '2026-11-26',
  }
  const machine = async () => undefined
  const api = createApi({
    gates: { caller: callerGate(deps), machine },
    log,
    clientAddressHeader: 'x-test-client',
  })
  identityRoutes(api, deps)

  const call = async (route: string, { body, token, from }: CallOptions = {}): Promise<Reply> => {
    const [method = '', path = ''] = route.split(' ')
    const response = await api.app.request(path, {
      method,
      headers: {
        'x-test-client': from ?? '192.0.2.1',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, json: text ? JSON.parse(text) : {} }
  }
  const local = async (path: string): Promise<Record<string, string>[]> => {
    const answer = await fetch(`${twilio.url}/_local/${path}`)
    return answer.json() as Promise<Record<string, string>[]>
  }
  return {
    app: api.app,
    db: database.db,
    databaseUrl: database.url,
    clock,
    config,
    logged: () => logged,
    call,
    codes: async (phone) =>
      (await local(`inbox?to=${encodeURIComponent(phone)}`)).map(({ code }) => String(code)),
    sentToProvider: async () => (await local('requests')) as never,
    async fault(fault) {
      const answer = await fetch(`${twilio.url}/_local/faults`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(fault),
      })
      if (!answer.ok) throw new Error(await answer.text())
    },
    usePeppers(...keys) {
      deps.pepper = peppers(keys)
    },
    async newAccount() {
      const wallet = privateKeyToAccount(generatePrivateKey())
      const from = newAddress()
      const { json } = await call('POST /v1/logins/wallet', { body: { address: wallet.address }, from })
      const message = String(json.message)
      const login = await call('POST /v1/logins/wallet/verify', {
        body: { message, signature: await wallet.signMessage({ message }), acceptTerms: true },
        from,
      })
      const account = login.json.account as { id: string }
      return { token: String(login.json.token), accountId: account.id, wallet }
    },
  }
}

/** An address that no other test has used up the limits of. */
export function newAddress(): string {
  addresses += 1
  return `198.18.${Math.floor(addresses / 250)}.${(addresses % 250) + 1}`
}
