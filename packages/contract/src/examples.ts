import type { JsonSchema } from './openapi.ts'

/** What a field of this name holds, wherever it is: an example that says more than its type. */
const byName: Readonly<Record<string, unknown>> = {
  acceptTerms: true,
  account: { id: 'acc_4k2m8x0q1z7c5v9b3n6t' },
  accountId: 'acc_4k2m8x0q1z7c5v9b3n6t',
  address: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266',
  agent: 'hello',
  agentId: 'agt_7d1s9k3f5h2j8l4p6r0w',
  amountMicros: '25000000',
  balanceMicros: '25000000',
  chain: 'base',
  chainId: 8453,
  challengeId: 'chl_2w4e6r8t0y1u3i5o7p9a',
  chargedMicros: '480000',
  code: '123456',
  creditsMicros: '25000000',
  currency: 'USD',
  cursor: '1024',
  description: 'Deposit of 25 USDC on base',
  detail: 'You have no agent of this name.',
  device: 'agentctl 0.1.0 on linux',
  domains: [],
  env: { GREETING: 'hi' },
  environment: { GREETING: 'hi' },
  fix: 'Check the name and the namespace: agentctl agents list',
  graceDays: 14,
  grep: 'error',
  heldMicros: '0',
  hostname: 'bot.example.com',
  hourlyMicros: '20000',
  id: 'id_7d1s9k3f5h2j8l4p6r0w',
  ids: ['ntc_1q3w5e7r9t2y4u6i8o0p'],
  install: 'npm ci --omit=dev',
  keyId: 'l1',
  key: 'actl_k_…',
  kind: 'deposit',
  listenAddress: '10.0.0.5',
  logTail: ['Error: Cannot find module express'],
  machineToken: 'actl_m_…',
  message: 'Agent hello is suspended in 48 hours.',
  name: 'hello',
  namespace: 'demo',
  next: 'agentctl billing deposit 25',
  nextCursor: null,
  path: 'index.js',
  port: 8080,
  phone: '+821012345678',
  prefix: 'actl_k_0a1B2c3D',
  reason: null,
  set: ['API_TOKEN'],
  size: 'small',
  timeoutSeconds: 60,
  unset: [],
  reference: 'dep_5t7y9u1i3o2p4a6s8d0f',
  region: 'icn',
  requestId: 'req_8m6n4b2v0c1x3z5l7k9j',
  rpcUrl: 'https://mainnet.base.org',
  runwaySeconds: 4500000,
  secrets: { API_TOKEN: 'a value' },
  session: 'ses_3f5g7h9j1k2l4z6x8c0v',
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  signature: `0x${'5a'.repeat(65)}`,
  start: 'node index.js',
  step: 'waiting for health',
  symbol: 'USDC',
  text: 'listening on 8080',
  token: 'actl_s_…',
  txHash: `0x${'ab'.repeat(32)}`,
  url: 'https://hello-demo.example.com',
  version: '0.1.0',
}

/** Where a name has another meaning beside another schema: tried in turn until one fits. */
const alternatives: Readonly<Record<string, readonly unknown[]>> = {
  code: ['actl_i_…'],
  id: ['era_4k2x9wq7m1z8c5v3b6n0', 'gbk_4k2x9wq7m1z8c5v3b6n0'],
  message: ['api.example.com wants you to sign in with your Ethereum account:\n0xf39F…'],
  path: ['/health'],
  reason: ['exited'],
  size: [1024],
  secrets: [[{ name: 'API_TOKEN', version: 1, updatedAt: '2027-03-01T09:00:00.000Z' }]],
  token: [{ symbol: 'USDC', address: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913', decimals: 6 }],
  version: [1],
}

const TIME = '2027-03-01T09:00:00.000Z'

/**
 * An example of a value of this schema. `fits` tells whether a value that a name suggests belongs there; where none
 * does, the schema itself is asked.
 */
export function exampleOf(schema: JsonSchema, resolve: (ref: string) => JsonSchema, name?: string): unknown {
  if (typeof schema.$ref === 'string') return exampleOf(resolve(schema.$ref), resolve, name)
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const suggested =
    name === undefined || !Object.hasOwn(byName, name) ? [] : [byName[name], ...(alternatives[name] ?? [])]
  const found = suggested.find((value) => fits(value, schema, resolve))
  if (found !== undefined) return found
  const choices = (schema.anyOf ?? schema.oneOf ?? schema.allOf) as JsonSchema[] | undefined
  if (choices?.[0]) return exampleOf(choices[0], resolve, name)
  switch (schema.type) {
    case 'object':
      return objectExample(schema, resolve)
    case 'array':
      return schema.items ? [exampleOf(schema.items as JsonSchema, resolve, singular(name))] : []
    case 'string':
      return textExample(schema, name)
    case 'integer':
    case 'number':
      return Math.max(1, (schema.minimum as number | undefined) ?? 1)
    case 'boolean':
      return true
    default:
      return null
  }
}

function objectExample(schema: JsonSchema, resolve: (ref: string) => JsonSchema): unknown {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>)
  return Object.fromEntries(properties.map(([field, inner]) => [field, exampleOf(inner, resolve, field)]))
}

function textExample({ format, pattern, minLength }: JsonSchema, name: string | undefined): string {
  if (format === 'date-time') return TIME
  if (format === 'date') return TIME.slice(0, 10)
  if (/Micros$/.test(name ?? '')) return '1000000'
  if (typeof pattern === 'string') {
    const known = ['demo', '1', ...Object.values(byName)].filter((value) => typeof value === 'string')
    return known.find((value) => new RegExp(pattern).test(value)) ?? 'text'
  }
  return 'text'.padEnd((minLength as number | undefined) ?? 0, '.')
}

function fits(value: unknown, schema: JsonSchema, resolve: (ref: string) => JsonSchema): boolean {
  if (typeof schema.$ref === 'string') return fits(value, resolve(schema.$ref), resolve)
  const choices = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (choices) return choices.some((choice) => fits(value, choice, resolve))
  if ('const' in schema) return value === schema.const
  if (Array.isArray(schema.enum)) return schema.enum.includes(value)
  switch (schema.type) {
    case 'string':
      return (
        typeof value === 'string' &&
        !/^date/.test(String(schema.format)) &&
        (typeof schema.pattern !== 'string' || new RegExp(schema.pattern).test(value)) &&
        value.length >= Number(schema.minLength ?? 0)
      )
    case 'integer':
    case 'number':
      return typeof value === 'number'
    case 'boolean':
      return typeof value === 'boolean'
    case 'null':
      return value === null
    case 'array':
      return (
        Array.isArray(value) &&
        value.every((item) => !schema.items || fits(item, schema.items as JsonSchema, resolve))
      )
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
      const properties = (schema.properties ?? {}) as Record<string, JsonSchema>
      const required = (schema.required ?? []) as string[]
      const rest = schema.additionalProperties as JsonSchema | boolean | undefined
      return (
        required.every((field) => field in value) &&
        Object.entries(value).every(([field, inner]) => {
          const known = properties[field] ?? (typeof rest === 'object' ? rest : undefined)
          return known !== undefined && fits(inner, known, resolve)
        })
      )
    }
    default:
      return false
  }
}

const singular = (name: string | undefined): string | undefined => name?.replace(/s$/, '')
