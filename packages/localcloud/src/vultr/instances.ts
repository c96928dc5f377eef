import { randomBytes, randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { OPERATING_SYSTEMS, PLANS, REGIONS, SNAPSHOT_OS } from './catalogue.ts'
import type { Machines } from './machines.ts'
import { page } from './paging.ts'
import { RequestBody } from './request-body.ts'
import { vultrDate } from './vultr-date.ts'
import { Refused } from './vultr-error.ts'
import type { Instance, VultrState } from './vultr-state.ts'

/** How much of the boot time passes before the machine is switched on. */
const PENDING_SHARE = 0.4
/** 127.64.0.0/10 without its first and last addresses. */
const ADDRESSES = 2 ** 22 - 2

export function instanceRoutes(state: KeptState<VultrState>, machines: Machines, clock: Clock): Hono {
  const app = new Hono()
  const { instances, settings } = state.value

  app.get('/instances', (c) => {
    const query = c.req.query()
    const found = instances.filter(
      (one) =>
        (query.label === undefined || one.label === query.label) &&
        (query.tag === undefined || one.tags.includes(query.tag)) &&
        (query.region === undefined || one.region === query.region) &&
        (query.main_ip === undefined || shownAddress(one) === query.main_ip) &&
        (query.firewall_group_id === undefined || one.firewallGroupId === query.firewall_group_id),
    )
    const { items, meta } = page(found, query)
    return c.json({ instances: items.map((one) => show(one, clock.now())), meta })
  })

  app.post('/instances', async (c) => {
    const body = await RequestBody.of(c)
    const region = REGIONS.find((one) => one.id === body.text('region'))
    if (!region) throw new Refused(400, 'Invalid region.')
    const plan = PLANS.find((one) => one.id === body.text('plan'))
    if (!plan) throw new Refused(400, 'Invalid plan chosen.')
    if (!plan.locations.includes(region.id)) {
      throw new Refused(400, 'The plan chosen is not available in the selected region.')
    }
    const sources = ['os_id', 'snapshot_id', 'image_id', 'app_id', 'iso_id'].filter((name) => body.has(name))
    if (sources.length !== 1) {
      throw new Refused(400, 'Exactly one of os_id, snapshot_id, image_id, app_id or iso_id must be given.')
    }
    const osId = body.integer('os_id')
    const snapshotId = body.text('snapshot_id')
    if (osId !== undefined && !OPERATING_SYSTEMS.some((one) => one.id === osId)) {
      throw new Refused(400, 'Invalid OS.')
    }
    if (osId === undefined && !body.has('snapshot_id')) {
      throw new Refused(400, `${sources[0]} is not offered by this stand-in.`)
    }
    if (
      body.has('snapshot_id') &&
      !state.value.snapshots.some((one) => one.id === snapshotId && one.copied)
    ) {
      throw new Refused(400, 'Invalid snapshot.')
    }
    const firewallGroupId = body.text('firewall_group_id')
    knownFirewallGroup(firewallGroupId)
    const vpcIds = body.texts('attach_vpc')
    for (const id of vpcIds) knownVpc(id, region.id)
    for (const id of body.texts('sshkey_id')) {
      if (!state.value.sshKeys.some((one) => one.id === id)) throw new Refused(400, 'Invalid SSH key.')
    }
    for (const name of ['enable_ipv6', 'activation_email', 'ddos_protection']) body.flag(name)
    const now = clock.now()
    const bootMs = settings.bootSeconds * 1000
    const instance: Instance = {
      id: randomUUID(),
      createdAt: now,
      bootsAt: now + bootMs * PENDING_SHARE,
      bootedAt: now + bootMs,
      hasBooted: false,
      power: 'stopped',
      region: region.id,
      plan: plan.id,
      osId: osId ?? SNAPSHOT_OS.id,
      snapshotId,
      label: body.text('label'),
      hostname: hostname(body.text('hostname')),
      tags: body.texts('tags'),
      userData: body.base64('user_data'),
      userScheme: body.text('user_scheme') || 'root',
      firewallGroupId,
      vpcIds,
      address: nextAddress(state.value),
      defaultPassword: randomBytes(12).toString('base64url'),
      process: null,
    }
    instances.push(instance)
    state.save()
    machines.bringUp(instance)
    return c.json({ instance: { ...show(instance, now), default_password: instance.defaultPassword } }, 202)
  })

  app.get('/instances/:id', (c) => c.json({ instance: show(find(c.req.param('id')), clock.now()) }))

  app.patch('/instances/:id', async (c) => {
    const instance = find(c.req.param('id'))
    const body = await RequestBody.of(c)
    for (const name of ['plan', 'os_id', 'app_id', 'image_id', 'backups', 'enable_vpc', 'ddos_protection']) {
      if (body.has(name)) throw new Refused(400, `Changing ${name} is not offered by this stand-in.`)
    }
    // Everything is read before anything is changed: a refused request changes nothing.
    const change: Partial<Instance> = {
      ...(body.has('label') ? { label: body.text('label') } : {}),
      ...(body.has('tags') ? { tags: body.texts('tags') } : {}),
      ...(body.has('user_data') ? { userData: body.base64('user_data') } : {}),
      ...(body.has('user_scheme') ? { userScheme: body.text('user_scheme') } : {}),
      ...(body.has('firewall_group_id') ? { firewallGroupId: body.text('firewall_group_id') } : {}),
    }
    knownFirewallGroup(change.firewallGroupId ?? '')
    const attached = body.texts('attach_vpc')
    for (const id of attached) knownVpc(id, instance.region)
    const detached = body.texts('detach_vpc')
    const vpcIds = [...new Set([...instance.vpcIds, ...attached])].filter((id) => !detached.includes(id))
    Object.assign(instance, change, { vpcIds })
    state.save()
    return c.json({ instance: show(instance, clock.now()) }, 202)
  })

  app.delete('/instances/:id', async (c) => {
    const instance = find(c.req.param('id'))
    instances.splice(instances.indexOf(instance), 1)
    state.save()
    await machines.destroy(instance)
    return c.body(null, 204)
  })

  app.post('/instances/:id/halt', async (c) => {
    await machines.halt(find(c.req.param('id')))
    return c.body(null, 204)
  })

  app.post('/instances/:id/start', async (c) => {
    await machines.start(find(c.req.param('id')))
    return c.body(null, 204)
  })

  app.post('/instances/:id/reboot', async (c) => {
    await machines.reboot(find(c.req.param('id')))
    return c.body(null, 204)
  })

  app.get('/instances/:id/user-data', (c) =>
    c.json({ user_data: { data: find(c.req.param('id')).userData } }),
  )

  app.get('/instances/:id/bandwidth', (c) => {
    const { traffic = {} } = find(c.req.param('id'))
    const range = Number(c.req.query('date_range') ?? 30)
    if (!Number.isInteger(range) || range < 1 || range > 60) throw new Refused(400, 'Invalid date_range.')
    const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
    const first = dayOf(clock.now() - range * 86_400_000)
    const days = Object.entries(traffic).filter(([day]) => day >= first)
    const today = { [dayOf(clock.now())]: { incoming_bytes: 0, outgoing_bytes: 0 } }
    return c.json({ bandwidth: { ...today, ...Object.fromEntries(days) } })
  })

  function find(id: string): Instance {
    const instance = instances.find((one) => one.id === id)
    if (!instance) throw new Refused(404, 'Instance not found.')
    return instance
  }

  function knownFirewallGroup(id: string): void {
    if (id !== '' && !state.value.firewallGroups.some((one) => one.id === id)) {
      throw new Refused(400, 'Invalid firewall group.')
    }
  }

  function knownVpc(id: string, region: string): void {
    if (!state.value.vpcs.some((one) => one.id === id && one.region === region)) {
      throw new Refused(400, 'Invalid VPC, or not in the region of the instance.')
    }
  }

  return app
}

/** The wire form that Vultr calls an instance. */
function show(instance: Instance, now: number): Record<string, unknown> {
  const plan = PLANS.find((one) => one.id === instance.plan)
  const os = [...OPERATING_SYSTEMS, SNAPSHOT_OS].find((one) => one.id === instance.osId)
  const isActive = instance.hasBooted && now >= instance.bootedAt
  return {
    id: instance.id,
    os: os?.name ?? '',
    ram: plan?.ram ?? 0,
    disk: plan?.disk ?? 0,
    main_ip: shownAddress(instance),
    vcpu_count: plan?.vcpu_count ?? 0,
    region: instance.region,
    plan: instance.plan,
    date_created: vultrDate(instance.createdAt),
    status: isActive ? 'active' : 'pending',
    allowed_bandwidth: plan?.bandwidth ?? 0,
    netmask_v4: instance.hasBooted ? '255.192.0.0' : '',
    gateway_v4: instance.hasBooted ? '127.64.0.1' : '',
    power_status: instance.power,
    server_status: isActive ? 'ok' : instance.hasBooted ? 'installingbooting' : 'none',
    v6_networks: [],
    label: instance.label,
    internal_ip: instance.hasBooted ? instance.address : '',
    kvm: '',
    hostname: instance.hostname,
    tag: instance.tags[0] ?? '',
    tags: instance.tags,
    os_id: instance.osId,
    app_id: 0,
    image_id: '',
    firewall_group_id: instance.firewallGroupId,
    features: [],
    user_scheme: instance.userScheme,
  }
}

function shownAddress(instance: Instance): string {
  return instance.hasBooted ? instance.address : '0.0.0.0'
}

function hostname(asked: string): string {
  if (asked !== '' && !/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62})$/.test(asked))
    throw new Refused(400, 'Invalid hostname.')
  return asked
}

/** An address is not given out again before all others were. */
function nextAddress(state: VultrState): string {
  for (;;) {
    state.nextAddress = (state.nextAddress % ADDRESSES) + 1
    const number = state.nextAddress
    const address = `127.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`
    if (!state.instances.some((one) => one.address === address)) return address
  }
}
