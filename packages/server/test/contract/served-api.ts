import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Answer, JsonSchema, OpenApiDocument, Operation } from '@agentctl/contract/openapi.ts'
import { startStripe } from '@agentctl/localcloud/stripe/stripe.ts'
import { startTwilio } from '@agentctl/localcloud/twilio/twilio.ts'
import type { Hono } from 'hono'
import { afterAll } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { createApp } from '../../src/app.ts'
import type { Deps } from '../../src/deps.ts'
import { fileBlobs } from '../../src/platform/blobs.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { readConfig } from '../../src/platform/config.ts'
import { openPool, type Pool } from '../../src/platform/db.ts'
import { openKeyring, openPepper } from '../../src/platform/keyring.ts'
import { jsonLog } from '../../src/platform/log.ts'
import { newToken, tokenHash } from '../../src/platform/tokens.ts'
import { openCards } from '../../src/providers/cards/stripe.ts'
import { openChain } from '../../src/providers/chain/evm.ts'
import { openTransfers } from '../../src/providers/chain/transfers.ts'
import type { LiveDns } from '../../src/providers/dns/live-dns.ts'
import { openMachines } from '../../src/providers/machines/vultr.ts'
import { allowedHosts, processorHosts } from '../../src/providers/processors.ts'
import { openSms } from '../../src/providers/sms/twilio.ts'
import { openTransport } from '../../src/providers/transport.ts'

/** Nobody answers there: no request of a test waits for a chain, a machine or a name server. */
const NOBODY = 'http://127.0.0.1:9'

const absent = async () => ({ state: 'absent' }) as const
const emptyDns: LiveDns = {
  findCnameChain: absent,
  findAddresses: absent,
  findTexts: absent,
  findCaa: absent,
  isApex: absent,
}

export interface ServedApi {
  app: Hono
  deps: Deps
  /** The document as it is served. */
  document: OpenApiDocument
  operations: ServedOperation[]
  /** As the owner of the tables: sees and changes everything. */
  sql: Pool
  operatorToken: string
  logged(): string
}

export interface ServedOperation extends Operation {
  method: string
  path: string
}

/** The whole API as production mounts it, on a database of its own. */
export async function servedApi(): Promise<ServedApi> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-contract-'))
  const database = await testDatabase()
  const [twilio, stripe] = await Promise.all([
    startTwilio({ dataDir, log: () => {} }),
    startStripe({ dataDir, log: () => {} }),
  ])
  const operatorToken = newToken('o').reveal()
  const program = (name: string): string => {
    const path = join(dataDir, name)
    writeFileSync(path, `not really ${name}`)
    return path
  }
  const config = readConfig({
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    API_URL: 'https://api.example.com',
    CLIENT_ADDRESS_HEADER: 'x-client',
    OPERATORS: `alice=${tokenHash(operatorToken).toString('hex')}`,
    TWILIO_ACCOUNT_SID: twilio.accountSid,
    TWILIO_AUTH_TOKEN: twilio.authToken,
    TWILIO_VERIFY_SERVICE_SID: twilio.serviceSid,
    PRIVACY_CONTACT: 'privacy@example.com',
    TWILIO_BASE_URL: twilio.url,
    STRIPE_SECRET_KEY: stripe.secretKey,
    STRIPE_WEBHOOK_SECRET: stripe.webhookSecret,
    STRIPE_BASE_URL: stripe.url,
    VULTR_API_KEY: 'none',
    VULTR_BASE_URL: NOBODY,
    CLOUDFLARE_API_TOKEN: 'none',
    CLOUDFLARE_ZONE_ID: 'none',
    CLOUDFLARE_ZONE_NAME: 'agents.localhost',
    CLOUDFLARE_FALLBACK_ORIGIN: 'origin.agents.localhost',
    CHAIN_ID: '8453',
    CHAIN_RPC_URL: NOBODY,
    CHAIN_NAME: 'base',
    DEPOSIT_ADDRESS: `0x${'12'.repeat(20)}`,
    MACHINE_NODE_FILE: program('node'),
    MACHINE_RUNNER_FILE: program('runner.cjs'),
  })
  let logged = ''
  const log = jsonLog((line) => {
    logged += line
  })
  const transport = openTransport(allowedHosts(processorHosts(config), [NOBODY]))
  const sql = openPool(database.url, { connectionsMax: 2 })
  afterAll(async () => {
    await Promise.all([twilio.stop(), stripe.stop(), sql.end({ timeout: 5 }), transport.close()])
    rmSync(dataDir, { recursive: true, force: true })
  })
  const deps: Deps = {
    egress: transport.egress,
    config,
    db: database.db,
    clock: systemClock,
    log,
    keyring: openKeyring(config.keyringFile),
    pepper: openPepper(config.pepperFile),
    blobs: fileBlobs(join(dataDir, 'blobs')),
    sms: openSms({ config, transport, log }),
    machines: openMachines(config, { transport, log }),
    chain: openChain({ config, transport, log }),
    transfers: config.deposits.map((chain) => openTransfers(chain, transport)),
    cards: config.stripe && openCards({ stripe: config.stripe, transport, log }),
    // Domains are taken, and nobody works: what calls Cloudflare is durable work.
    hostnames: undefined,
    liveDns: emptyDns,
    edgeProbe: {
      probe: async () => ({
        served: false,
        status: undefined,
        body: '',
        certificate: undefined,
        trouble: 'Nobody is there.',
      }),
    },
  }
  const app = createApp(deps)
  const document = (await (await app.request('/openapi.json')).json()) as OpenApiDocument
  return { app, deps, document, operations: operationsOf(document), sql, operatorToken, logged: () => logged }
}

export function operationsOf(document: OpenApiDocument): ServedOperation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    })),
  )
}

export function bodyOf(
  document: OpenApiDocument,
  operation: Operation,
): { schema: JsonSchema; example: unknown } | undefined {
  const body = operation.requestBody?.content['application/json']
  return body && { schema: resolve(document, body.schema), example: body.example }
}

export function answerOf(
  document: OpenApiDocument,
  operation: Operation,
  status: number,
): Answer | undefined {
  const answer = operation.responses[status]
  if (!answer || !('$ref' in answer)) return answer
  return document.components.responses[answer.$ref.split('/').at(-1) ?? '']
}

export function resolve(document: OpenApiDocument, schema: JsonSchema): JsonSchema {
  if (typeof schema.$ref !== 'string') return schema
  return document.components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}
}
