import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { initialize } from '@vultr/vultr-node'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { collectViolations } from '../spec-check.ts'
import { temporaryDataDir } from '../temporary-data-dir.ts'
import { startVultr } from './vultr.ts'
import { type InstanceOnTheWire, vultrCaller } from './vultr-caller.ts'
import { vultrSpecCheck } from './vultr-spec.ts'

const SCRIPT = '#!/bin/bash\necho hello\n'
const checked = collectViolations(vultrSpecCheck())

// Every request of every test, and every answer, is held against Vultr's document.
afterEach(() => {
  expect(checked.violations.splice(0)).toEqual([])
})

async function start(dataDir = temporaryDataDir()) {
  const vultr = await startVultr({ dataDir, log: () => undefined, onExchange: checked.onExchange })
  onTestFinished(() => vultr.stop())
  const settings = (change: object) =>
    fetch(`${vultr.url}/_local/settings`, { method: 'POST', body: JSON.stringify(change) })
  return { vultr, dataDir, settings, ...vultrCaller(vultr) }
}

function ids(list: unknown): string[] {
  return (list as { id: string }[]).map((one) => one.id)
}

test('the documents are there, or their absence is said', ({ skip }) => {
  skip(checked.missing !== undefined, checked.missing)
})

test('an instance goes from pending over installing to running, by the clock', async () => {
  const { call, getInstance, settings, dataDir, create, printed } = await start()
  await settings({ bootSeconds: 600 })
  const created = await call('POST', '/instances', {
    region: 'icn',
    plan: 'vc2-1c-2gb',
    os_id: 2136,
    label: 'agt_1-g1',
    hostname: 'agt-1',
    tags: ['agentctl', 'env:test'],
    user_data: btoa(SCRIPT),
    user_scheme: 'limited',
    enable_ipv6: false,
    backups: 'disabled',
    activation_email: false,
    sshkey_id: [],
  })
  expect(created.status).toBe(202)
  const instance = created.body.instance as InstanceOnTheWire & { default_password: string }
  expect(instance).toMatchObject({
    status: 'pending',
    power_status: 'stopped',
    server_status: 'none',
    main_ip: '0.0.0.0',
  })
  expect(instance.default_password).not.toBe('')

  writeFileSync(join(dataDir, 'clock'), String(300_000))
  await printed(instance.id, 'hello')
  expect(await getInstance(instance.id)).toMatchObject({
    status: 'pending',
    power_status: 'running',
    server_status: 'installingbooting',
  })
  writeFileSync(join(dataDir, 'clock'), String(600_000))
  const active = await getInstance(instance.id)
  expect(active).toMatchObject({ status: 'active', power_status: 'running', server_status: 'ok', ram: 2048 })
  expect(active.main_ip).toMatch(/^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./)
  expect(active.internal_ip).toBe(active.main_ip)
  expect(active).not.toHaveProperty('default_password')

  await settings({ bootSeconds: 0 })
  expect((await getInstance(await create(SCRIPT))).internal_ip).not.toBe(active.main_ip)
})

test('halt, start, reboot and delete', async () => {
  const { call, create, booted, getInstance } = await start()
  const id = await create(SCRIPT)
  await booted(id)
  expect((await call('POST', `/instances/${id}/halt`)).status).toBe(204)
  expect(await getInstance(id)).toMatchObject({ status: 'active', power_status: 'stopped' })
  expect((await call('POST', `/instances/${id}/start`)).status).toBe(204)
  expect((await call('POST', `/instances/${id}/reboot`)).status).toBe(204)
  expect(await getInstance(id)).toMatchObject({ status: 'active', power_status: 'running' })
  expect((await call('DELETE', `/instances/${id}`)).status).toBe(204)
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/halt'],
    ['POST', '/start'],
    ['GET', '/user-data'],
  ]) {
    expect((await call(method ?? '', `/instances/${id}${path}`)).status).toBe(404)
  }
})

test('lists are filtered by label and tag, and read page by page', async () => {
  const { call, create } = await start()
  const all: string[] = []
  for (const label of ['a', 'b', 'c', 'd', 'e'])
    all.push(await create(SCRIPT, { label, tags: ['agentctl', `of:${label}`] }))

  expect(ids((await call('GET', '/instances?label=b')).body.instances)).toEqual([all[1]])
  expect(ids((await call('GET', '/instances?tag=of:c')).body.instances)).toEqual([all[2]])
  expect((await call('GET', '/instances?label=agent')).body).toMatchObject({
    instances: [],
    meta: { total: 0 },
  })

  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await call('GET', `/instances?tag=agentctl&per_page=2${cursor && `&cursor=${cursor}`}`)
    seen.push(...ids(body.instances))
    const { meta } = body as { meta: { total: number; links: { next: string } } }
    expect(meta.total).toBe(5)
    cursor = meta.links.next
  } while (cursor)
  expect(seen).toEqual(all)
  expect((await call('GET', '/instances?per_page=501')).status).toBe(400)
})

test('label, tags and user data change; a refused change changes nothing', async () => {
  const { call, create } = await start()
  const id = await create(SCRIPT, { label: 'before' })
  expect(await call('PATCH', `/instances/${id}`, { label: 'x', user_data: 'not base64!' })).toMatchObject({
    status: 400,
  })
  expect(await call('GET', `/instances/${id}`)).toMatchObject({ body: { instance: { label: 'before' } } })
  const changed = await call('PATCH', `/instances/${id}`, {
    label: 'after',
    tags: ['t'],
    user_data: btoa('#!/bin/sh\n'),
  })
  expect(changed).toMatchObject({ status: 202, body: { instance: { label: 'after', tags: ['t'] } } })
  expect(await call('GET', `/instances/${id}/user-data`)).toMatchObject({
    body: { user_data: { data: btoa('#!/bin/sh\n') } },
  })
})

test('a snapshot is pending, then complete; listed by its description; renamed; deleted', async () => {
  const { call, create, booted, snapshot, settings } = await start()
  const id = await create(SCRIPT)
  await booted(id)
  await settings({ snapshotSeconds: 3600 })
  const pending = await call('POST', '/snapshots', { instance_id: id, description: 'slow' })
  expect(pending).toMatchObject({ status: 201, body: { snapshot: { status: 'pending', size: 0 } } })
  await settings({ snapshotSeconds: 0 })
  const done = await snapshot(id)
  expect(await call('GET', `/snapshots/${done}`)).toMatchObject({
    body: { snapshot: { status: 'complete' } },
  })
  expect(ids((await call('GET', '/snapshots?description=slow')).body.snapshots)).toEqual([
    (pending.body.snapshot as { id: string }).id,
  ])
  expect((await call('PUT', `/snapshots/${done}`, { description: 'renamed' })).status).toBe(204)
  expect((await call('DELETE', `/snapshots/${done}`)).status).toBe(204)
  expect((await call('GET', `/snapshots/${done}`)).status).toBe(404)
  expect((await call('DELETE', `/snapshots/${done}`)).status).toBe(404)
  expect((await call('POST', '/snapshots', { instance_id: 'nobody' })).status).toBe(404)
})

test.each([
  ['an unknown region', { region: 'atlantis' }],
  ['an unknown plan', { plan: 'vc2-1c-1tb' }],
  ['a plan that the region does not have', { plan: 'vc2-6c-16gb' }],
  ['an operating system by name', { os_id: '2136' }],
  ['an unknown operating system', { os_id: 1 }],
  ['no source at all', { os_id: undefined }],
  ['two sources', { snapshot_id: 'x' }],
  ['an unknown snapshot', { os_id: undefined, snapshot_id: 'x' }],
  ['user data that is not base64', { user_data: '#!/bin/bash' }],
  ['an unknown VPC', { attach_vpc: ['x'] }],
  ['an unknown firewall group', { firewall_group_id: 'x' }],
  ['an unknown SSH key', { sshkey_id: ['x'] }],
  ['a flag as text', { enable_ipv6: 'no' }],
  ['tags as text', { tags: 'agentctl' }],
])('%s is refused and makes no instance', async (_, change) => {
  const { call } = await start()
  const answer = await call('POST', '/instances', {
    region: 'icn',
    plan: 'vc2-1c-1gb',
    os_id: 2136,
    ...change,
  })
  expect(answer).toMatchObject({ status: 400, body: { status: 400 } })
  expect((await call('GET', '/instances')).body).toMatchObject({ instances: [] })
})

test('everything but the catalogue needs the key', async () => {
  const { call } = await start()
  for (const key of ['', 'wrong']) {
    expect(await call('GET', '/instances', undefined, key)).toMatchObject({
      status: 401,
      body: { status: 401 },
    })
    expect((await call('GET', '/account', undefined, key)).status).toBe(401)
  }
  const plans = await call('GET', '/plans', undefined, '')
  expect(ids(plans.body.plans)).toEqual(expect.arrayContaining(['vc2-1c-1gb', 'vc2-4c-8gb']))
  expect(ids((await call('GET', '/regions', undefined, '')).body.regions)).toContain('icn')
  expect(ids((await call('GET', '/os', undefined, '')).body.os)).toContain(2136)
  expect((await call('GET', '/regions/icn/availability')).body.available_plans).not.toContain('vc2-6c-16gb')
  expect((await call('GET', '/account')).status).toBe(200)
  expect((await call('GET', '/nothing')).status).toBe(404)
})

test('VPCs, firewall groups with rules, and SSH keys', async () => {
  const { call, create } = await start()
  const vpc = (await call('POST', '/vpcs', { region: 'icn', description: 'agents' })).body.vpc as {
    id: string
  }
  const group = (await call('POST', '/firewalls', { description: 'closed' })).body.firewall_group as {
    id: string
  }
  const rule = { ip_type: 'v4', protocol: 'tcp', subnet: '0.0.0.0', subnet_size: 0, port: '443', notes: '' }
  const made = await call('POST', `/firewalls/${group.id}/rules`, rule)
  expect(made).toMatchObject({
    status: 201,
    body: { firewall_rule: { id: 1, action: 'accept', subnet_size: 0 } },
  })
  expect((await call('POST', `/firewalls/${group.id}/rules`, rule)).status).toBe(400)
  expect((await call('POST', `/firewalls/${group.id}/rules`, { ...rule, subnet_size: '0' })).status).toBe(400)
  expect(ids((await call('GET', `/firewalls/${group.id}/rules`)).body.firewall_rules)).toEqual([1])

  const id = await create(SCRIPT, { attach_vpc: [vpc.id], firewall_group_id: group.id })
  expect((await call('GET', `/instances/${id}/bandwidth`)).status).toBe(200)
  expect((await call('GET', '/firewalls')).body).toMatchObject({
    firewall_groups: [{ id: group.id, instance_count: 1, rule_count: 1 }],
  })
  expect((await call('DELETE', `/vpcs/${vpc.id}`)).status).toBe(400)
  await call('DELETE', `/instances/${id}`)
  expect((await call('DELETE', `/vpcs/${vpc.id}`)).status).toBe(204)
  expect((await call('DELETE', `/firewalls/${group.id}/rules/1`)).status).toBe(204)
  expect((await call('DELETE', `/firewalls/${group.id}`)).status).toBe(204)

  const key = await call('POST', '/ssh-keys', { name: 'operator', ssh_key: 'ssh-ed25519 AAAA operator' })
  expect(key.status).toBe(201)
  expect(ids((await call('GET', '/ssh-keys')).body.ssh_keys)).toEqual([
    (key.body.ssh_key as { id: string }).id,
  ])
})

test('instances, snapshots and networks survive a restart', async () => {
  const first = await start()
  const vpc = (await first.call('POST', '/vpcs', { region: 'icn' })).body.vpc as { id: string }
  const id = await first.create(SCRIPT, { label: 'kept', attach_vpc: [vpc.id] })
  const before = await first.booted(id)
  const snapshot = await first.snapshot(id)
  await first.vultr.stop()

  const second = await start(first.dataDir)
  expect(second.vultr).toMatchObject({ url: first.vultr.url, apiKey: first.vultr.apiKey })
  expect(await second.getInstance(id)).toEqual(before)
  expect(ids((await second.call('GET', '/snapshots')).body.snapshots)).toEqual([snapshot])
  expect(ids((await second.call('GET', '/vpcs')).body.vpcs)).toEqual([vpc.id])
})

test("Vultr's own client understands it", async () => {
  const { vultr, create, booted, snapshot } = await start()
  const client = initialize({ apiKey: vultr.apiKey, baseUrl: `${vultr.url}/v2` })
  const source = await create(SCRIPT, { label: 'source' })
  await booted(source)
  const snapshotId = await snapshot(source)

  expect((await client.account.getAccountInfo(undefined)).account.name).toBe('Local cloud')
  const { instance } = await client.instances.createInstance({
    region: 'icn',
    plan: 'vc2-1c-1gb',
    snapshot_id: snapshotId,
    label: 'by the client',
    tags: ['agentctl'],
    user_data: btoa(SCRIPT),
  })
  await booted(instance.id)
  const listed = await client.instances.listInstances({ tag: 'agentctl', per_page: '10' })
  expect(ids(listed.instances)).toEqual([instance.id])
  await client.instances.haltInstance({ 'instance-id': instance.id })
  const halted = await client.instances.getInstance({ 'instance-id': instance.id })
  expect(halted.instance.power_status).toBe('stopped')
  await client.instances.updateInstance({ 'instance-id': instance.id, label: 'renamed' })
  const taken = await client.snapshots.createSnapshot({ instance_id: instance.id, description: 'taken' })
  expect(taken.snapshot.status).toBe('pending')
  await client.instances.deleteInstance({ 'instance-id': instance.id })
  // This client resolves with an error where others reject.
  const gone: unknown = await client.instances.getInstance({ 'instance-id': instance.id })
  expect(gone).toEqual(new Error('Not Found: Instance not found.'))
  const refused: unknown = await client.instances.createInstance({
    region: 'icn',
    plan: 'vc2-1c-1gb',
    os_id: '2136',
  })
  expect(refused).toEqual(new Error('Bad Request: Invalid os_id: expected an integer.'))
})
