import { existsSync } from 'node:fs'
import { isIPv4, isIPv6 } from 'node:net'
import { join } from 'node:path'
import { ConfigError } from './config-error.ts'
import { DatabaseUrlError, readDatabaseUrl } from './database-url.ts'
import type { RequestQuotas } from './request-limits.ts'
import { Secret } from './secret.ts'
import { type WarmMachines, warmMachinesOf } from './warm-config.ts'

/** api answers clients and machines · router carries traffic to agents · worker does the durable work */
export const roles = ['api', 'router', 'worker'] as const
export type Role = (typeof roles)[number]

const SERVING: readonly Role[] = ['api', 'worker']
/**
 * Who uses what. A server neither asks for what its roles do not use nor takes it where it is set: the key to all
 * machines is nothing that a server in reach of everybody should hold, and a file that one role has need not be where
 * another runs. What is not here is for everybody; `*` stands for all that begins so.
 */
const USERS: Readonly<Record<string, readonly Role[]>> = {
  DATABASE_APP_URL: ['api'],
  DATABASE_JOBS_URL: roles,
  DATABASE_OPERATOR_URL: ['api'],
  OPERATORS: ['api'],
  PEPPER_FILE: ['api'],
  PRIVACY_CONTACT: ['api'],
  LEDGER_KEY_FILE: ['api'],
  'TWILIO_*': ['api'],
  'VULTR_API_*': ['worker'],
  'STRIPE_*': SERVING,
  CLOUDFLARE_API_TOKEN: ['worker'],
  'CLOUDFLARE_*': SERVING,
  'BLOBS_S3_*': SERVING,
  'CHAIN_*': SERVING,
  'DEPOSIT_*': SERVING,
  'MACHINE_*': SERVING,
}

function isUsedBy(chosen: readonly Role[], name: string): boolean {
  const users =
    USERS[name] ??
    Object.entries(USERS).find(([key]) => key.endsWith('*') && name.startsWith(key.slice(0, -1)))?.[1]
  return users?.some((role) => chosen.includes(role)) ?? true
}

/** Everything that differs between a laptop and production. This file alone reads the environment. */
export interface Config {
  host: string
  port: number
  routerPort: number
  /** Address under which clients and machines reach the API. */
  apiUrl: string
  /** Domain under which agents have their addresses, and the whole address with `{label}` in it. */
  agentDomain: string
  agentUrlTemplate: string
  /** Where to answer whether this server is alive and ready; undefined: nowhere. */
  healthPort: number | undefined
  /** The owner of the tables, who migrates at the start; undefined in production, where a job of its own does. */
  databaseUrl: Secret | undefined
  databaseAppUrl: Secret | undefined
  databaseJobsUrl: Secret | undefined
  databaseOperatorUrl: Secret | undefined
  /** People who may use the endpoints of operators, and the hashes of their credentials; empty for nobody. */
  operators: readonly Operator[]
  dataDir: string
  keyringFile: string
  pepperFile: string
  /** The file that moves the clock; only in the local cloud. */
  clockFile: string | undefined
  /** Whether webhooks may lead to this machine; only in the local cloud. */
  webhookLoopback: boolean
  /** Header in which a trusted proxy in front tells the client's address; undefined: the connection's own. */
  clientAddressHeader: string | undefined
  /** How often one of each may ask; a machine's runner asks every half minute, and hands in what its agent logs. */
  requestsPerMinute: RequestQuotas
  /** Policy 11: the address of the privacy officer, as the policy shows it. */
  privacyContact: string
  phoneCountries: readonly string[]
  /** How many codes may be paid for in 24 hours. */
  smsDailyBudget: number
  twilio: { accountSid: string; authToken: Secret; verifyServiceSid: string; baseUrl: string }
  vultr: { apiKey: Secret; baseUrl: string; environment: string }
  /** Where contents of files are kept; undefined: in files of the data directory. */
  blobs: S3Bucket | undefined
  /** Payments by card; undefined: none are taken. */
  stripe: { secretKey: Secret; webhookSecret: Secret; baseUrl: string } | undefined
  /** Domains of customers; undefined: none are taken. */
  cloudflare:
    | {
        /** Of the worker; others only know that domains are taken, and which names are the service's own. */
        apiToken: Secret
        /** The zone in which customers' hostnames are kept; one environment has it for itself. */
        zoneId: string
        zoneName: string
        /** A name in the zone, with a proxied record that leads to the routers. */
        fallbackOrigin: string
        /** Marks the records of this environment. */
        environment: string
        baseUrl: string
        /** What one process may ask of it in five minutes; all together are allowed 1,200, and then none for as long. */
        requestsInFiveMinutes: number
      }
    | undefined
  domains: {
    /** What customers' names point to; by default under the wildcard of the agents' names. */
    target: string
    /** Who is asked about live DNS, as addresses with an optional port; none: the resolvers of this machine. */
    dnsServers: readonly string[]
    /** Where our edge takes HTTPS, and an authority to be trusted there besides those of the system. */
    edgePort: number
    edgeCaFile: string | undefined
  }
  chain: { id: number; rpcUrl: string }
  /** Where payments on chain are taken; empty for nowhere. */
  deposits: readonly DepositChain[]
  /** Keys that sign the heads of exported ledgers. */
  ledgerKeyFile: string
  /** Days between the suspension of an agent and the end of its snapshot. */
  graceDays: number
  /** How long a worker's claim holds without a heartbeat. */
  leaseSeconds: number
  /** Node, the runner and npm's own package that machines fetch by their hash; without npm they have their image's. */
  machineNodeFile: string
  machineRunnerFile: string
  machineNpmFile: string | undefined
  /** Blank machines that are kept ready for first deploys. */
  warm: WarmMachines
  /** Addresses and networks of routers: machines let nobody else in. */
  routerAddresses: readonly string[]
}

/** A bucket of an S3-compatible store, for nothing but contents. */
export interface S3Bucket {
  endpoint: string
  bucket: string
  region: string
  accessKeyId: string
  secretAccessKey: Secret
}

export interface Operator {
  name: string
  tokenHash: Buffer
}

/** A chain, a token on it, and our address there. Addresses in lower case. */
export interface DepositChain {
  name: string
  chainId: number
  rpcUrl: string
  /** What users are told to connect to: never a URL with a key of ours in it. */
  publicRpcUrl: string
  address: string
  token: { symbol: string; address: string; decimals: number }
  /** First block to look at; undefined: where the chain is final when the service first looks. */
  startBlock: bigint | undefined
  /** How many blocks are asked for at once; providers limit it, and it shrinks by itself when they refuse. */
  windowBlocks: number
  pollSeconds: number
}

export function readConfig(
  given: Readonly<Record<string, string | undefined>> = process.env,
  chosen: readonly Role[] = roles,
): Config {
  const missing: string[] = []
  const isUsed = (name: string): boolean => isUsedBy(chosen, name)
  const env = Object.fromEntries(Object.entries(given).filter(([name]) => isUsed(name)))
  const text = (name: string, fallback?: string): string => {
    if (!isUsed(name)) return ''
    const value = env[name]
    if (value !== undefined && value !== '') return value
    if (fallback === undefined) missing.push(name)
    return fallback ?? ''
  }
  const optional = (name: string): string | undefined => env[name] || undefined
  const secret = (name: string): Secret => new Secret(text(name))
  const number = (name: string, fallback?: number): number => {
    const value = text(name, fallback === undefined ? undefined : String(fallback))
    if (value !== '' && !/^\d{1,15}$/.test(value)) throw new ConfigError(`${name} must be a whole number.`)
    return Number(value)
  }
  const keyFile = (name: string, fallback: string): string => {
    const path = optional(name)
    // A file that somebody has named is theirs to make: another one in its place would open nothing.
    if (path && !existsSync(path)) {
      throw new ConfigError(`${name} names ${path}, where no file is. Restore it from its backup.`)
    }
    return path ?? join(dataDir, fallback)
  }
  const database = (name: string): Secret | undefined => {
    const url = env[name]
    if (!url) return undefined
    checkDatabaseUrl(name, url)
    return new Secret(url)
  }
  const databaseUrl = database('DATABASE_URL')
  const host = text('HOST', '127.0.0.1')
  const port = number('PORT', 8787)
  const routerPort = number('ROUTER_PORT', 8788)
  const agentDomain = text('AGENT_DOMAIN', 'agents.localhost')
  const dataDir = text('DATA_DIR', '.agentctl')
  const config: Config = {
    host,
    port,
    routerPort,
    apiUrl: text('API_URL', `http://127.0.0.1:${port}`),
    agentDomain,
    agentUrlTemplate: text('AGENT_URL_TEMPLATE', `http://{label}.${agentDomain}:${routerPort}`),
    healthPort: optional('HEALTH_PORT') === undefined ? undefined : number('HEALTH_PORT'),
    databaseUrl,
    databaseAppUrl: database('DATABASE_APP_URL'),
    databaseJobsUrl: database('DATABASE_JOBS_URL'),
    databaseOperatorUrl: database('DATABASE_OPERATOR_URL'),
    operators: operatorsOf(env),
    dataDir,
    keyringFile: keyFile('KEYRING_FILE', 'keyring.json'),
    pepperFile: keyFile('PEPPER_FILE', 'pepper.json'),
    clockFile: optional('CLOCK_FILE'),
    webhookLoopback: webhookLoopbackOf(env),
    clientAddressHeader: optional('CLIENT_ADDRESS_HEADER'),
    requestsPerMinute: {
      address: number('REQUESTS_PER_MINUTE_ADDRESS', 3000),
      account: number('REQUESTS_PER_MINUTE_ACCOUNT', 1200),
      credential: number('REQUESTS_PER_MINUTE_CREDENTIAL', 600),
      machine: number('REQUESTS_PER_MINUTE_MACHINE', 600),
    },
    privacyContact: privacyContactOf(text('PRIVACY_CONTACT')),
    phoneCountries: text('ALLOWED_PHONE_COUNTRIES', 'KR').split(','),
    smsDailyBudget: number('SMS_DAILY_BUDGET', 500),
    twilio: {
      accountSid: text('TWILIO_ACCOUNT_SID'),
      authToken: secret('TWILIO_AUTH_TOKEN'),
      verifyServiceSid: text('TWILIO_VERIFY_SERVICE_SID'),
      baseUrl: text('TWILIO_BASE_URL', 'https://verify.twilio.com'),
    },
    vultr: {
      apiKey: secret('VULTR_API_KEY'),
      baseUrl: text('VULTR_BASE_URL', 'https://api.vultr.com'),
      environment: text('VULTR_ENVIRONMENT', 'prod'),
    },
    blobs: bucketOf(env),
    stripe: stripeOf(env),
    cloudflare: cloudflareOf(env, {
      agentDomain,
      requestsInFiveMinutes: number('CLOUDFLARE_REQUESTS_IN_FIVE_MINUTES', 300),
      needsToken: isUsed('CLOUDFLARE_API_TOKEN'),
    }),
    domains: {
      target: text('DOMAIN_TARGET', `domains.${agentDomain}`),
      dnsServers: optional('DNS_SERVERS')?.split(',') ?? [],
      edgePort: number('EDGE_PORT', 443),
      edgeCaFile: optional('EDGE_CA_FILE'),
    },
    chain: { id: number('CHAIN_ID', 8453), rpcUrl: text('CHAIN_RPC_URL') },
    deposits: depositChains(env),
    ledgerKeyFile: keyFile('LEDGER_KEY_FILE', 'ledger-keys.json'),
    graceDays: number('GRACE_DAYS', 14),
    leaseSeconds: number('LEASE_SECONDS', 15),
    machineNodeFile: text('MACHINE_NODE_FILE'),
    machineRunnerFile: text('MACHINE_RUNNER_FILE'),
    machineNpmFile: optional('MACHINE_NPM_FILE'),
    warm: warmMachinesOf(env),
    routerAddresses: routerAddresses(text('ROUTER_ADDRESSES', '127.0.0.0/8')),
  }
  if (!databaseUrl) {
    for (const name of ['DATABASE_APP_URL', 'DATABASE_JOBS_URL']) text(name)
  }
  if (missing.length > 0) throw new ConfigError(`Set these environment variables: ${missing.join(', ')}.`)
  return config
}

/** The owner of the tables, for the job that migrates. */
export function readOwnerUrl(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const url = env.DATABASE_URL
  if (!url) throw new ConfigError('Set DATABASE_URL: migrations run as the owner of the tables.')
  checkDatabaseUrl('DATABASE_URL', url)
  return url
}

function checkDatabaseUrl(name: string, url: string): void {
  try {
    readDatabaseUrl(url)
  } catch (error) {
    if (error instanceof DatabaseUrlError) throw new ConfigError(`${name} ${error.message}`)
    throw error
  }
}

function bucketOf(env: Readonly<Record<string, string | undefined>>): Config['blobs'] {
  const names = ['ENDPOINT', 'BUCKET', 'REGION', 'ACCESS_KEY_ID', 'SECRET_ACCESS_KEY'].map(
    (name) => `BLOBS_S3_${name}`,
  )
  const [endpoint, bucket, region, accessKeyId, secretAccessKey] = names.map((name) => env[name])
  if (!endpoint && !bucket && !region && !accessKeyId && !secretAccessKey) return undefined
  // With some of them only, files would go to a disk that the other servers do not see.
  if (!endpoint || !bucket || !region || !accessKeyId || !secretAccessKey) {
    throw new ConfigError(`Set all of ${names.join(', ')}, or none.`)
  }
  if (!/^https?:\/\/[^/?#]+\/?$/.test(endpoint)) {
    throw new ConfigError(
      'BLOBS_S3_ENDPOINT must be an address without a path: https://sel1.vultrobjects.com',
    )
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new ConfigError('BLOBS_S3_BUCKET must be the name of a bucket.')
  }
  return {
    endpoint: endpoint.replace(/\/$/, ''),
    bucket,
    region,
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
  }
}

/** `OPERATORS=alice=<sha256>,bob=<sha256>`: hashes, so that whoever reads the configuration is no operator. */
function operatorsOf(env: Readonly<Record<string, string | undefined>>): Operator[] {
  const entries = (env.OPERATORS ?? '').split(',').filter((entry) => entry !== '')
  const operators = entries.map((entry) => {
    const [, name, hash] = /^([a-z][a-z0-9-]{0,31})=([0-9a-f]{64})$/.exec(entry) ?? []
    if (name === undefined || hash === undefined) {
      throw new ConfigError('OPERATORS must be name=hash, more of them separated by commas.')
    }
    return { name, tokenHash: Buffer.from(hash, 'hex') }
  })
  if (new Set(operators.map(({ name }) => name)).size < operators.length) {
    throw new ConfigError('OPERATORS names somebody twice.')
  }
  // Else their transactions would have the rights of the owner.
  if (operators.length > 0 && env.DATABASE_APP_URL && !env.DATABASE_OPERATOR_URL) {
    throw new ConfigError('Set DATABASE_OPERATOR_URL: operators work under a database role of their own.')
  }
  return operators
}

/** Empty where it is missing, which is said with all else that is, or where no policy is shown. */
function privacyContactOf(address: string): string {
  if (address !== '' && !/^[\w.+-]{1,64}@([\w-]+\.)+[\w-]{2,}$/.test(address)) {
    throw new ConfigError('PRIVACY_CONTACT must be an address of mail, like privacy@example.com.')
  }
  return address
}

function routerAddresses(list: string): string[] {
  return list.split(',').map((item) => {
    const [address = '', prefix, ...rest] = item.trim().split('/')
    const bits = isIPv4(address) ? 32 : isIPv6(address) ? 128 : 0
    const isNetwork = /^\d{1,3}$/.test(prefix ?? '') && Number(prefix) > 0 && Number(prefix) <= bits
    if (bits === 0 || rest.length > 0 || !(prefix === undefined || isNetwork)) {
      throw new ConfigError(
        'ROUTER_ADDRESSES must be IP addresses or networks with commas between, like 10.8.96.0/28.',
      )
    }
    return item.trim()
  })
}

function stripeOf(env: Readonly<Record<string, string | undefined>>): Config['stripe'] {
  const { STRIPE_SECRET_KEY: secretKey, STRIPE_WEBHOOK_SECRET: webhookSecret } = env
  if (!secretKey && !webhookSecret) return undefined
  // With one of them only, payments would be taken that nobody is told about.
  if (!secretKey || !webhookSecret) {
    throw new ConfigError('Set both STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or neither.')
  }
  return {
    secretKey: new Secret(secretKey),
    webhookSecret: new Secret(webhookSecret),
    baseUrl: env.STRIPE_BASE_URL || 'https://api.stripe.com',
  }
}

function cloudflareOf(
  env: Readonly<Record<string, string | undefined>>,
  {
    agentDomain,
    requestsInFiveMinutes,
    needsToken,
  }: { agentDomain: string; requestsInFiveMinutes: number; needsToken: boolean },
): Config['cloudflare'] {
  const {
    CLOUDFLARE_API_TOKEN: apiToken = '',
    CLOUDFLARE_ZONE_ID: zoneId,
    CLOUDFLARE_ZONE_NAME: zoneName,
    CLOUDFLARE_FALLBACK_ORIGIN: fallbackOrigin,
  } = env
  if (!apiToken && !zoneId && !zoneName && !fallbackOrigin) return undefined
  if ((needsToken && !apiToken) || !zoneId || !zoneName || !fallbackOrigin) {
    throw new ConfigError(
      'Set all of CLOUDFLARE_API_TOKEN, CLOUDFLARE_ZONE_ID, CLOUDFLARE_ZONE_NAME and CLOUDFLARE_FALLBACK_ORIGIN, or none.',
    )
  }
  if (requestsInFiveMinutes < 1) {
    throw new ConfigError('CLOUDFLARE_REQUESTS_IN_FIVE_MINUTES must be at least 1.')
  }
  // Names elsewhere would have to be made by somebody else, and would lead nowhere until then.
  for (const [name, value] of Object.entries({
    AGENT_DOMAIN: agentDomain,
    DOMAIN_TARGET: env.DOMAIN_TARGET || `domains.${agentDomain}`,
    CLOUDFLARE_FALLBACK_ORIGIN: fallbackOrigin,
  })) {
    if (value !== zoneName && !value.endsWith(`.${zoneName}`)) {
      throw new ConfigError(
        `${name} must be ${zoneName}, the zone of CLOUDFLARE_ZONE_NAME, or a name under it.`,
      )
    }
  }
  return {
    apiToken: new Secret(apiToken),
    zoneId,
    zoneName,
    fallbackOrigin,
    environment: env.VULTR_ENVIRONMENT || 'prod',
    baseUrl: env.CLOUDFLARE_BASE_URL || 'https://api.cloudflare.com',
    requestsInFiveMinutes,
  }
}

const ADDRESS = /^0x[0-9a-fA-F]{40}$/
/** USDC on Base, as its issuer publishes it. */
const BASE = {
  chainId: '8453',
  usdc: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913',
  rpc: 'https://mainnet.base.org',
}

function depositChains(env: Readonly<Record<string, string | undefined>>): DepositChain[] {
  const address = env.DEPOSIT_ADDRESS
  if (!address) return []
  const chainId = env.CHAIN_ID || BASE.chainId
  const onBase = chainId === BASE.chainId
  const rpcUrl = env.CHAIN_RPC_URL ?? ''
  const isLoopback = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/.test(rpcUrl)
  const publicRpcUrl = env.CHAIN_PUBLIC_RPC_URL || (isLoopback ? rpcUrl : onBase ? BASE.rpc : '')
  if (!publicRpcUrl) throw new ConfigError('Set CHAIN_PUBLIC_RPC_URL: where users reach the chain.')
  const tokenAddress = env.DEPOSIT_TOKEN_ADDRESS || (onBase ? BASE.usdc : '')
  for (const [name, value] of Object.entries({
    DEPOSIT_ADDRESS: address,
    DEPOSIT_TOKEN_ADDRESS: tokenAddress,
  })) {
    if (!ADDRESS.test(value)) throw new ConfigError(`${name} must be 0x and 40 hexadecimal digits.`)
  }
  const whole = (name: string, fallback: number): number => {
    const value = env[name] || String(fallback)
    if (!/^\d{1,9}$/.test(value)) throw new ConfigError(`${name} must be a whole number.`)
    return Number(value)
  }
  const startBlock = env.DEPOSIT_START_BLOCK
  return [
    {
      name: env.CHAIN_NAME || (onBase ? 'base' : `chain-${chainId}`),
      chainId: Number(chainId),
      rpcUrl,
      publicRpcUrl,
      address: address.toLowerCase(),
      token: {
        symbol: env.DEPOSIT_TOKEN_SYMBOL || 'USDC',
        address: tokenAddress.toLowerCase(),
        decimals: whole('DEPOSIT_TOKEN_DECIMALS', 6),
      },
      startBlock: startBlock ? BigInt(whole('DEPOSIT_START_BLOCK', 0)) : undefined,
      windowBlocks: whole('DEPOSIT_WINDOW_BLOCKS', 2000),
      pollSeconds: whole('DEPOSIT_POLL_SECONDS', 2),
    },
  ]
}

/** Receivers of service messages on this machine are for trying; a service that others reach would call itself. */
function webhookLoopbackOf(env: NodeJS.ProcessEnv): boolean {
  if (env.WEBHOOK_LOOPBACK !== 'allow') return false
  if (/^https:/.test(env.API_URL ?? '')) {
    throw new ConfigError('WEBHOOK_LOOPBACK is for the local cloud: unset it where API_URL is https.')
  }
  return true
}
