import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { OPERATING_SYSTEMS, PLANS, REGIONS } from './catalogue.ts'
import { page } from './paging.ts'
import { RequestBody } from './request-body.ts'
import { vultrDate } from './vultr-date.ts'
import { Refused } from './vultr-error.ts'
import type { SshKey, VultrState } from './vultr-state.ts'

/** What can be asked without a key, as at Vultr itself. */
export const PUBLIC_PATHS = ['/v2/plans', '/v2/regions', '/v2/os']

/** The catalogue, the account and its SSH keys. */
export function accountRoutes(state: KeptState<VultrState>, clock: Clock): Hono {
  const app = new Hono()
  const { sshKeys } = state.value

  app.get('/account', (c) =>
    c.json({
      account: {
        name: 'Local cloud',
        email: 'local@localhost',
        acls: ['manage_users', 'subscriptions_view', 'subscriptions', 'provisioning', 'firewall'],
        balance: 0,
        pending_charges: 0,
        last_payment_date: vultrDate(0),
        last_payment_amount: 0,
      },
    }),
  )

  app.get('/plans', (c) => {
    const plans = PLANS.map((plan) => ({ ...plan, name: plan.id, type: 'vc2', disk_count: 1 }))
    const { items, meta } = page(plans, c.req.query())
    return c.json({ plans: items, meta })
  })

  app.get('/regions', (c) => {
    const { items, meta } = page(REGIONS, c.req.query())
    return c.json({ regions: items, meta })
  })

  app.get('/regions/:id/availability', (c) => {
    const region = REGIONS.find((one) => one.id === c.req.param('id'))
    if (!region) throw new Refused(404, 'Invalid region.')
    const plans = PLANS.filter((plan) => plan.locations.includes(region.id))
    return c.json({ available_plans: plans.map((plan) => plan.id) })
  })

  app.get('/os', (c) => {
    const { items, meta } = page(OPERATING_SYSTEMS, c.req.query())
    return c.json({ os: items, meta })
  })

  app.get('/ssh-keys', (c) => {
    const { items, meta } = page(sshKeys, c.req.query())
    return c.json({ ssh_keys: items.map(showKey), meta })
  })

  app.post('/ssh-keys', async (c) => {
    const body = await RequestBody.of(c)
    const key: SshKey = {
      id: randomUUID(),
      createdAt: clock.now(),
      name: body.text('name'),
      key: body.text('ssh_key'),
    }
    if (key.name === '' || !/^(ssh|ecdsa)-\S+ \S+/.test(key.key)) throw new Refused(400, 'Invalid SSH key.')
    sshKeys.push(key)
    state.save()
    return c.json({ ssh_key: showKey(key) }, 201)
  })

  app.delete('/ssh-keys/:id', (c) => {
    const key = sshKeys.find((one) => one.id === c.req.param('id'))
    if (!key) throw new Refused(404, 'SSH key not found.')
    sshKeys.splice(sshKeys.indexOf(key), 1)
    state.save()
    return c.body(null, 204)
  })

  return app
}

function showKey(key: SshKey): Record<string, unknown> {
  return { id: key.id, date_created: vultrDate(key.createdAt), name: key.name, ssh_key: key.key }
}
