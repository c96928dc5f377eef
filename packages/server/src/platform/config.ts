import { join } from 'node:path'
import { Secret } from './secret.ts'

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
  databaseUrl: Secret
  databaseAppUrl: Secret | undefined
  databaseJobsUrl: Secret | undefined
  dataDir: string
  keyringFile: string
  pepperFile: string
  /** The file that moves the clock; only in the local cloud. */
  clockFile: string | undefined
  /** Header in which a trusted proxy in front tells the client's address; undefined: the connection's own. */
  clientAddressHeader: string | undefined
  phoneCountries: readonly string[]
  /** How many codes may be paid for in 24 hours. */
  smsDailyBudget: number
  twilio: { accountSid: string; authToken: Secret; verifyServiceSid: string; baseUrl: string }
  vultr: { apiKey: Secret; baseUrl: string; environment: string }
  chain: { id: number; rpcUrl: string }
  /** How long a worker's claim holds without a heartbeat. */
  leaseSeconds: number
  /** Node and the runner that machines fetch by their hash. */
  machineNodeFile: string
  machineRunnerFile: string
}

export class ConfigError extends Error {
  override name = 'ConfigError'
}

export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const missing: string[] = []
  const text = (name: string, fallback?: string): string => {
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
  const optionalSecret = (name: string): Secret | undefined => {
    const value = optional(name)
    return value === undefined ? undefined : new Secret(value)
  }
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
    databaseUrl: secret('DATABASE_URL'),
    databaseAppUrl: optionalSecret('DATABASE_APP_URL'),
    databaseJobsUrl: optionalSecret('DATABASE_JOBS_URL'),
    dataDir,
    keyringFile: text('KEYRING_FILE', join(dataDir, 'keyring.json')),
    pepperFile: text('PEPPER_FILE', join(dataDir, 'pepper.json')),
    clockFile: optional('CLOCK_FILE'),
    clientAddressHeader: optional('CLIENT_ADDRESS_HEADER'),
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
    chain: { id: number('CHAIN_ID', 8453), rpcUrl: text('CHAIN_RPC_URL') },
    leaseSeconds: number('LEASE_SECONDS', 15),
    machineNodeFile: text('MACHINE_NODE_FILE'),
    machineRunnerFile: text('MACHINE_RUNNER_FILE'),
  }
  if (missing.length > 0) throw new ConfigError(`Set these environment variables: ${missing.join(', ')}.`)
  return config
}
