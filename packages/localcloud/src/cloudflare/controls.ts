import { type Context, Hono } from 'hono'
import type { KeptState } from '../kept-state.ts'
import type { CloudflareState, CustomHostname } from './cloudflare-state.ts'
import { DNS_TROUBLES, type DnsWorld } from './dns-world.ts'
import type { HostnameChecks } from './hostname-checks.ts'

const STATUSES: readonly CustomHostname['status'][] = [
  ...(['pending', 'active', 'moved', 'blocked', 'pending_blocked', 'pending_deletion', 'deleted'] as const),
]
const SSL_STATUSES: readonly CustomHostname['ssl']['status'][] = [
  ...(['initializing', 'pending_validation', 'pending_issuance', 'pending_deployment', 'active'] as const),
  ...(['validation_timed_out', 'issuance_timed_out', 'deployment_timed_out', 'expired', 'deleted'] as const),
]

/** What owners of names, their DNS and Cloudflare's own people do, at will. */
export function cloudflareControls(parts: {
  state: KeptState<CloudflareState>
  dns: DnsWorld
  checks: HostnameChecks
}): Hono {
  const { state, dns, checks } = parts
  const app = new Hono()

  app.get('/dns', (c) => c.json(dns.list()))
  app.put('/dns', async (c) => {
    const wrong = dns.set(await fieldsOf(c))
    return wrong === undefined ? c.json(dns.list()) : c.json({ error: wrong }, 400)
  })
  app.delete('/dns', (c) => {
    const name = c.req.query('name')
    if (name === undefined) return c.json({ error: 'Say which name: ?name=…&type=…' }, 400)
    dns.remove(name, c.req.query('type'))
    return c.body(null, 204)
  })
  app.get('/dns/faults', (c) => c.json(dns.listFaults()))
  app.post('/dns/faults', async (c) => {
    const { name, kind } = await fieldsOf(c)
    const known = DNS_TROUBLES.find((one) => one === kind)
    if (typeof name !== 'string' || !known) {
      return c.json({ error: `Send a name, and a kind: ${DNS_TROUBLES.join(', ')}.` }, 400)
    }
    dns.addFault({ name: name.toLowerCase(), kind: known })
    return c.json(dns.listFaults(), 201)
  })
  app.delete('/dns/faults', (c) => {
    dns.clearFaults()
    return c.body(null, 204)
  })

  app.get('/hostnames', (c) => c.json(state.value.hostnames.map(withoutTokens)))
  app.post('/hostnames/:name', async (c) => {
    const hostname = state.value.hostnames.find((one) => one.hostname === c.req.param('name'))
    if (!hostname) return c.json({ error: 'There is no such hostname.' }, 404)
    const { status = hostname.status, sslStatus = hostname.ssl.status, isHeld = true } = await fieldsOf(c)
    const known = STATUSES.find((one) => one === status)
    const knownSsl = SSL_STATUSES.find((one) => one === sslStatus)
    if (!known || !knownSsl || typeof isHeld !== 'boolean') {
      return c.json({ error: 'status, sslStatus and isHeld; the states are those of Cloudflare.' }, 400)
    }
    Object.assign(hostname, { status: known, isHeld })
    hostname.ssl.status = knownSsl
    state.save()
    return c.json(withoutTokens(hostname))
  })
  app.post('/checks', (c) => {
    for (const hostname of state.value.hostnames) hostname.nextCheckAt = 0
    checks.tick()
    return c.json(state.value.hostnames.map(withoutTokens))
  })

  app.get('/settings', (c) => c.json(state.value.settings))
  app.post('/settings', async (c) => {
    const { checkSeconds } = await fieldsOf(c)
    if (typeof checkSeconds !== 'number' || !(checkSeconds >= 0)) {
      return c.json({ error: 'checkSeconds is a number from 0.' }, 400)
    }
    state.value.settings.checkSeconds = checkSeconds
    state.save()
    return c.json(state.value.settings)
  })
  app.get('/origin', (c) => c.json({ url: state.value.originUrl }))
  return app
}

function withoutTokens({ id, hostname, status, isHeld, checks, nextCheckAt, ssl }: CustomHostname): object {
  const { status: sslStatus, certificate } = ssl
  return { id, hostname, status, sslStatus, isHeld, checks, nextCheckAt: new Date(nextCheckAt), certificate }
}

async function fieldsOf(c: Context): Promise<Record<string, unknown>> {
  const body: unknown = await c.req.json().catch(() => undefined)
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
}
