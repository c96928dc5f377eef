import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { REGIONS } from './catalogue.ts'
import { page } from './paging.ts'
import { RequestBody } from './request-body.ts'
import { vultrDate } from './vultr-date.ts'
import { Refused } from './vultr-error.ts'
import type { FirewallGroup, FirewallRule, Vpc, VultrState } from './vultr-state.ts'

const MAX_RULES = 50

/** VPCs and firewall groups. They are kept and checked, but all machines share the host's loopback network. */
export function networkRoutes(state: KeptState<VultrState>, clock: Clock): Hono {
  const app = new Hono()
  const { vpcs, firewallGroups, instances } = state.value

  app.get('/vpcs', (c) => {
    const { items, meta } = page(vpcs, c.req.query())
    return c.json({ vpcs: items.map(showVpc), meta })
  })

  app.post('/vpcs', async (c) => {
    const body = await RequestBody.of(c)
    const region = REGIONS.find((one) => one.id === body.text('region'))
    if (!region) throw new Refused(400, 'Invalid region.')
    const vpc: Vpc = {
      id: randomUUID(),
      region: region.id,
      createdAt: clock.now(),
      description: body.text('description'),
      v4Subnet: body.text('v4_subnet') || '10.8.96.0',
      v4SubnetMask: body.integer('v4_subnet_mask') ?? 20,
    }
    vpcs.push(vpc)
    state.save()
    return c.json({ vpc: showVpc(vpc) }, 201)
  })

  app.get('/vpcs/:id', (c) => c.json({ vpc: showVpc(findVpc(c.req.param('id'))) }))

  app.put('/vpcs/:id', async (c) => {
    const vpc = findVpc(c.req.param('id'))
    vpc.description = (await RequestBody.of(c)).text('description')
    state.save()
    return c.body(null, 204)
  })

  app.delete('/vpcs/:id', (c) => {
    const vpc = findVpc(c.req.param('id'))
    if (instances.some((one) => one.vpcIds.includes(vpc.id))) {
      throw new Refused(400, 'The VPC still has instances attached to it.')
    }
    vpcs.splice(vpcs.indexOf(vpc), 1)
    state.save()
    return c.body(null, 204)
  })

  app.get('/firewalls', (c) => {
    const { items, meta } = page(firewallGroups, c.req.query())
    return c.json({ firewall_groups: items.map(showGroup), meta })
  })

  app.post('/firewalls', async (c) => {
    const body = await RequestBody.of(c)
    const now = clock.now()
    const group: FirewallGroup = {
      id: randomUUID(),
      createdAt: now,
      modifiedAt: now,
      description: body.text('description'),
      rules: [],
    }
    firewallGroups.push(group)
    state.save()
    return c.json({ firewall_group: showGroup(group) }, 201)
  })

  app.get('/firewalls/:id', (c) => c.json({ firewall_group: showGroup(findGroup(c.req.param('id'))) }))

  app.put('/firewalls/:id', async (c) => {
    const group = findGroup(c.req.param('id'))
    group.description = (await RequestBody.of(c)).text('description')
    group.modifiedAt = clock.now()
    state.save()
    return c.body(null, 204)
  })

  app.delete('/firewalls/:id', (c) => {
    const group = findGroup(c.req.param('id'))
    firewallGroups.splice(firewallGroups.indexOf(group), 1)
    for (const instance of instances) {
      if (instance.firewallGroupId === group.id) instance.firewallGroupId = ''
    }
    state.save()
    return c.body(null, 204)
  })

  app.get('/firewalls/:id/rules', (c) => {
    const { items, meta } = page(findGroup(c.req.param('id')).rules, c.req.query())
    return c.json({ firewall_rules: items, meta })
  })

  app.post('/firewalls/:id/rules', async (c) => {
    const group = findGroup(c.req.param('id'))
    const rule = readRule(await RequestBody.of(c), (group.rules.at(-1)?.id ?? 0) + 1)
    if (group.rules.length >= MAX_RULES) throw new Refused(400, 'The firewall group has too many rules.')
    const same = (one: FirewallRule) =>
      JSON.stringify({ ...one, id: 0 }) === JSON.stringify({ ...rule, id: 0 })
    if (group.rules.some(same)) throw new Refused(400, 'This rule is already defined.')
    group.rules.push(rule)
    group.modifiedAt = clock.now()
    state.save()
    return c.json({ firewall_rule: rule }, 201)
  })

  app.get('/firewalls/:id/rules/:rule', (c) =>
    c.json({ firewall_rule: findRule(findGroup(c.req.param('id')), c.req.param('rule')) }),
  )

  app.delete('/firewalls/:id/rules/:rule', (c) => {
    const group = findGroup(c.req.param('id'))
    group.rules.splice(group.rules.indexOf(findRule(group, c.req.param('rule'))), 1)
    group.modifiedAt = clock.now()
    state.save()
    return c.body(null, 204)
  })

  function findVpc(id: string): Vpc {
    const vpc = vpcs.find((one) => one.id === id)
    if (!vpc) throw new Refused(404, 'VPC not found.')
    return vpc
  }

  function findGroup(id: string): FirewallGroup {
    const group = firewallGroups.find((one) => one.id === id)
    if (!group) throw new Refused(404, 'Firewall group not found.')
    return group
  }

  function showGroup(group: FirewallGroup): Record<string, unknown> {
    return {
      id: group.id,
      description: group.description,
      date_created: vultrDate(group.createdAt),
      date_modified: vultrDate(group.modifiedAt),
      instance_count: instances.filter((one) => one.firewallGroupId === group.id).length,
      rule_count: group.rules.length,
      max_rule_count: MAX_RULES,
    }
  }

  return app
}

function showVpc(vpc: Vpc): Record<string, unknown> {
  return {
    id: vpc.id,
    region: vpc.region,
    date_created: vultrDate(vpc.createdAt),
    description: vpc.description,
    v4_subnet: vpc.v4Subnet,
    v4_subnet_mask: vpc.v4SubnetMask,
  }
}

function findRule(group: FirewallGroup, id: string): FirewallRule {
  const rule = group.rules.find((one) => String(one.id) === id)
  if (!rule) throw new Refused(404, 'Firewall rule not found.')
  return rule
}

function readRule(body: RequestBody, id: number): FirewallRule {
  const ipType = body.text('ip_type')
  if (ipType !== 'v4' && ipType !== 'v6') throw new Refused(400, 'Invalid ip_type. Must be v4 or v6.')
  const protocol = body.text('protocol').toLowerCase()
  if (!['icmp', 'tcp', 'udp', 'gre', 'esp', 'ah'].includes(protocol))
    throw new Refused(400, 'Invalid protocol.')
  const subnet = body.text('subnet')
  const subnetSize = body.integer('subnet_size')
  if (
    subnet === '' ||
    subnetSize === undefined ||
    subnetSize < 0 ||
    subnetSize > (ipType === 'v4' ? 32 : 128)
  ) {
    throw new Refused(400, 'Invalid subnet.')
  }
  const port = body.text('port')
  if ((protocol === 'tcp' || protocol === 'udp') && !/^\d{1,5}([:-]\d{1,5})?$/.test(port)) {
    throw new Refused(400, 'Invalid port.')
  }
  return {
    id,
    type: ipType,
    ip_type: ipType,
    action: 'accept',
    protocol,
    port,
    subnet,
    subnet_size: subnetSize,
    source: body.text('source'),
    notes: body.text('notes'),
  }
}
