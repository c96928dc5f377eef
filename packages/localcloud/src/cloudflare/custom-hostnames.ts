import { randomBytes, randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import { type Context, Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { Refused } from './cloudflare-error.ts'
import type { CloudflareState, CustomHostname, HostnameSsl } from './cloudflare-state.ts'
import type { HostnameChecks } from './hostname-checks.ts'
import { page } from './paging.ts'
import { bodyOf, fieldsOf, oneOf, textOf } from './request-body.ts'
import { success, wireHostname, type ZoneFacts } from './wire.ts'

export interface HostnameRoutesParts {
  zone: ZoneFacts
  state: KeptState<CloudflareState>
  clock: Clock
  checks: HostnameChecks
}

type SslChoice = Pick<HostnameSsl, 'method' | 'settings' | 'certificateAuthority'>

const SSL_FIELDS = [
  'method',
  'type',
  'settings',
  'certificate_authority',
  'bundle_method',
  'wildcard',
  'custom_certificate',
  'custom_key',
]
const FILTERS = [
  ...['hostname', 'hostname.exact', 'hostname.contain', 'hostname.startsWith', 'id', 'ssl', 'ssl_status'],
  ...['order', 'direction', 'page', 'per_page'],
]
const HOSTNAME = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Hostnames of customers, and the origin that answers for all of them. */
export function hostnameRoutes(parts: HostnameRoutesParts): Hono {
  const { state, clock, checks, zone } = parts
  const { value } = state
  const app = new Hono()

  app.get('/fallback_origin', () => success(wireOrigin(value)))
  app.put('/fallback_origin', async (c) => {
    const origin = textOf(await bodyOf(c, ['origin']), 'origin')?.toLowerCase()
    if (origin === undefined) throw new Refused(400, 6003, 'origin is missing.')
    if (!value.records.some((record) => record.name === origin && record.type !== 'TXT')) {
      throw new Refused(
        400,
        1401,
        `The fallback origin must be a hostname with a DNS record in ${zone.name}.`,
      )
    }
    const now = clock.now()
    value.fallbackOrigin = { origin, createdAt: value.fallbackOrigin?.createdAt ?? now, updatedAt: now }
    state.save()
    return success(wireOrigin(value))
  })
  app.delete('/fallback_origin', () => {
    const shown = wireOrigin(value)
    value.fallbackOrigin = null
    state.save()
    return success({ ...shown, status: 'pending_deletion' })
  })

  app.get('/', (c) => {
    const query = c.req.query()
    const unknown = Object.keys(query).find((name) => !FILTERS.includes(name))
    if (unknown !== undefined) throw new Refused(400, 6003, `There is no filter ${unknown}.`)
    const exact = query.hostname ?? query['hostname.exact']
    const found = value.hostnames.filter(
      (one) =>
        (exact === undefined || one.hostname === exact) &&
        (query['hostname.contain'] === undefined || one.hostname.includes(query['hostname.contain'])) &&
        (query['hostname.startsWith'] === undefined ||
          one.hostname.startsWith(query['hostname.startsWith'])) &&
        (query.id === undefined || one.id === query.id) &&
        (query.ssl_status === undefined || one.ssl.status === query.ssl_status),
    )
    const { items, result_info } = page(found, query, { perPage: 20, perPageMin: 5, perPageMax: 50 })
    return success(items.map(wireHostname), { result_info })
  })
  app.post('/', async (c) => {
    const body = await bodyOf(c, [
      'hostname',
      'ssl',
      'custom_metadata',
      'custom_origin_server',
      'custom_origin_sni',
    ])
    refuseExtras(body)
    const hostname = textOf(body, 'hostname')?.toLowerCase()
    if (hostname === undefined || !HOSTNAME.test(hostname) || isIP(hostname) !== 0) {
      throw new Refused(
        400,
        1407,
        'Invalid custom hostname. Custom hostnames have to be fully qualified domain names.',
      )
    }
    const ssl = sslOf(body.ssl)
    if (value.hostnames.some((one) => one.hostname === hostname)) {
      throw new Refused(409, 1406, 'Duplicate custom hostname found.')
    }
    const made = newHostname(hostname, ssl, clock.now(), value.settings.checkSeconds)
    value.hostnames.push(made)
    state.save()
    return success(wireHostname(made))
  })
  app.get('/:id', (c) => success(wireHostname(hostnameOf(value, c))))
  app.patch('/:id', async (c) => {
    const body = await bodyOf(c, ['ssl', 'custom_metadata', 'custom_origin_server', 'custom_origin_sni'])
    refuseExtras(body)
    const hostname = hostnameOf(value, c)
    const { ssl } = hostname
    if (body.ssl !== undefined) {
      const choice = sslOf(body.ssl)
      // The same again asks for another look; something else has to be proven anew.
      const isOther = choice.method !== ssl.method || choice.certificateAuthority !== ssl.certificateAuthority
      Object.assign(ssl, choice, isOther ? { token: newToken(), status: 'pending_validation' } : {})
    }
    checks.restart(hostname)
    return success(wireHostname(hostname))
  })
  app.delete('/:id', (c) => {
    const hostname = hostnameOf(value, c)
    value.hostnames.splice(value.hostnames.indexOf(hostname), 1)
    state.save()
    return Response.json({ id: hostname.id })
  })
  return app
}

function newHostname(hostname: string, ssl: SslChoice, now: number, checkSeconds: number): CustomHostname {
  return {
    id: randomUUID(),
    hostname,
    status: 'pending',
    createdAt: now,
    ownershipToken: randomUUID(),
    hasPointedHere: false,
    isHeld: false,
    verificationErrors: [],
    ssl: {
      id: randomUUID(),
      status: 'initializing',
      ...ssl,
      token: newToken(),
      validationErrors: [],
      certificate: null,
    },
    checks: 0,
    nextCheckAt: now + checkSeconds * 1000,
    validatesSince: now,
  }
}

function newToken(): string {
  return randomBytes(32).toString('base64url')
}

function hostnameOf({ hostnames }: CloudflareState, c: Context): CustomHostname {
  const found = hostnames.find((one) => one.id === c.req.param('id'))
  if (!found) throw new Refused(404, 1436, 'The custom hostname was not found.')
  return found
}

/** What accounts must ask Cloudflare's sales team for. */
function refuseExtras(body: Record<string, unknown>): void {
  for (const name of ['custom_metadata', 'custom_origin_server', 'custom_origin_sni']) {
    if (body[name] !== undefined) throw new Refused(403, 1413, `No access to ${name} on this account.`)
  }
}

function sslOf(value: unknown): SslChoice {
  const fields = fieldsOf(value, SSL_FIELDS, 'ssl')
  for (const name of ['custom_certificate', 'custom_key']) {
    if (fields[name] !== undefined) throw new Refused(403, 1402, `No access to ${name} on this account.`)
  }
  oneOf(['dv'], fields.type, 'ssl.type')
  oneOf([undefined, 'ubiquitous', 'optimal', 'force'], fields.bundle_method, 'ssl.bundle_method')
  oneOf([undefined, false], fields.wildcard, 'ssl.wildcard')
  const settings = fieldsOf(
    fields.settings ?? {},
    ['min_tls_version', 'ciphers', 'http2', 'tls_1_3', 'early_hints'],
    'ssl.settings',
  )
  oneOf([undefined, '1.0', '1.1', '1.2', '1.3'], settings.min_tls_version, 'ssl.settings.min_tls_version')
  for (const name of ['http2', 'tls_1_3', 'early_hints']) {
    oneOf([undefined, 'on', 'off'], settings[name], `ssl.settings.${name}`)
  }
  const ciphers = settings.ciphers ?? []
  if (!Array.isArray(ciphers) || !ciphers.every((one) => typeof one === 'string')) {
    throw new Refused(400, 6003, 'ssl.settings.ciphers must be a list of strings.')
  }
  return {
    method: oneOf(['http', 'txt'] as const, fields.method, 'ssl.method'),
    settings,
    certificateAuthority: oneOf(
      ['google', 'lets_encrypt', 'ssl_com'] as const,
      fields.certificate_authority ?? 'google',
      'ssl.certificate_authority',
    ),
  }
}

function wireOrigin({ fallbackOrigin }: CloudflareState): object {
  if (!fallbackOrigin) throw new Refused(404, 1551, 'Resource not found.')
  const { origin, createdAt, updatedAt } = fallbackOrigin
  return {
    origin,
    status: 'active',
    errors: [],
    created_at: new Date(createdAt).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
  }
}
