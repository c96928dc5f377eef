import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import type { KeptState } from '../kept-state.ts'
import { cloudflareError, Refused } from './cloudflare-error.ts'
import type { CloudflareState } from './cloudflare-state.ts'
import type { HostnameRoutesParts } from './custom-hostnames.ts'
import { hostnameRoutes } from './custom-hostnames.ts'
import { recordRoutes } from './dns-records.ts'
import { success, wireZone, type ZoneFacts } from './wire.ts'

interface ApiParts extends HostnameRoutesParts {
  token: string
  tokenId: string
  zone: ZoneFacts
  dcvUuid: string
  state: KeptState<CloudflareState>
}

/** The part of Cloudflare's API that serves customers' hostnames out of one zone. */
export function cloudflareApi(parts: ApiParts): Hono {
  const { zone, state } = parts
  const app = new Hono().basePath('/client/v4')
  app.use('*', async (c, next) => {
    const given = c.req.header('authorization') ?? ''
    if (given === '')
      return cloudflareError(400, 9106, 'Missing X-Auth-Key, X-Auth-Email or Authorization headers')
    if (!sameSecret(given, `Bearer ${parts.token}`)) {
      const isVerify = c.req.path.endsWith('/user/tokens/verify')
      return isVerify
        ? cloudflareError(401, 1000, 'Invalid API Token')
        : cloudflareError(401, 10_000, 'Authentication error')
    }
    return next()
  })
  app.get('/user/tokens/verify', () =>
    Response.json({
      result: { id: parts.tokenId, status: 'active' },
      success: true,
      errors: [],
      messages: [{ code: 10_000, message: 'This API Token is valid and active' }],
    }),
  )
  app.get('/zones', (c) => {
    const name = c.req.query('name')
    const found = name === undefined || name === zone.name ? [wireZone(zone, state.value)] : []
    const result_info = { page: 1, per_page: 20, count: found.length, total_count: found.length }
    return success(found, { result_info })
  })
  app.use('/zones/:zone/*', async (c, next) => {
    refuseOtherZones(zone, c.req.param('zone'))
    return next()
  })
  app.get('/zones/:zone', (c) => {
    refuseOtherZones(zone, c.req.param('zone'))
    return success(wireZone(zone, state.value))
  })
  app.get('/zones/:zone/dcv_delegation/uuid', () => success({ uuid: parts.dcvUuid }))
  app.route('/zones/:zone/dns_records', recordRoutes(parts))
  app.route('/zones/:zone/custom_hostnames', hostnameRoutes(parts))
  const whole = new Hono()
  whole.route('/', app)
  whole.all('*', (c) => cloudflareError(400, 7000, `No route for that URI (${c.req.method} ${c.req.path}).`))
  whole.onError((error) => {
    if (error instanceof Refused) return cloudflareError(error.status, error.code, error.message)
    throw error
  })
  return whole
}

function refuseOtherZones(zone: ZoneFacts, id: string): void {
  if (!/^[0-9a-f]{32}$/.test(id)) {
    throw new Refused(
      400,
      7003,
      `Could not route to /zones/${id}, perhaps your object identifier is invalid?`,
    )
  }
  if (id !== zone.id) throw new Refused(403, 9109, 'Unauthorized to access requested resource')
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
