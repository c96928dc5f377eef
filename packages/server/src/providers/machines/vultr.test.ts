import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startVultr } from '@agentctl/localcloud/vultr/vultr.ts'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Problem } from '../../platform/problem.ts'
import { Secret } from '../../platform/secret.ts'
import { VULTR_FIELDS } from '../processors.ts'
import { openTransport } from '../transport.ts'
import { openMachines } from './vultr.ts'

const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-vultr-'))
const vultr = await startVultr({ dataDir: folder, log: () => {} })
const transport = openTransport({
  processors: [vultr.url],
  infrastructure: [],
  fields: { [vultr.url]: VULTR_FIELDS },
})
afterAll(async () => {
  await transport.close()
  await vultr.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})
const pauses: number[] = []
const said: unknown[][] = []
const open = (environment: string, apiKey = vultr.apiKey, timeoutMs = 5_000) =>
  openMachines(
    { vultr: { baseUrl: vultr.url, apiKey: new Secret(apiKey), environment } },
    {
      transport,
      timeoutMs,
      log: { error: (...words) => said.push(words) },
      pause: async (ms) => pauses.push(ms),
    },
  )
const machines = open('test')
const order = (label: string) => ({ label, plan: 'vc2-1c-1gb', agentId: 'agt_1', userData: '#!/bin/sh\n' })

const fault = (body: object) =>
  fetch(`${vultr.url}/_local/faults`, { method: 'POST', body: JSON.stringify(body) })
const requests = async (method: string): Promise<{ body: string; path: string }[]> =>
  (
    (await (await fetch(`${vultr.url}/_local/requests`)).json()) as {
      method: string
      body: string
      path: string
    }[]
  ).filter((request) => request.method === method && !/^\/v2\/(vpcs|firewalls|regions)/.test(request.path))
afterEach(async () => {
  await fetch(`${vultr.url}/_local/faults`, { method: 'DELETE' })
  await fetch(`${vultr.url}/_local/requests`, { method: 'DELETE' })
  pauses.splice(0)
  said.splice(0)
})

test('a machine is ordered in Seoul, with the tags by which it is found again', async () => {
  const outcome = await machines.create(order('op_a-g1'))
  expect(outcome).toMatchObject({ state: 'created', machine: { label: 'op_a-g1', address: null } })
  const [request] = await requests('POST')
  expect(JSON.parse(request?.body ?? '')).toMatchObject({
    region: 'icn',
    hostname: 'op-a-g1',
    tags: ['agentctl', 'env:test', 'agent:agt_1'],
    enable_ipv6: false,
    backups: 'disabled',
    activation_email: false,
    attach_vpc: [expect.any(String)],
    firewall_group_id: expect.any(String),
  })
  const [found] = await machines.listByLabel('op_a-g1')
  expect(await machines.find(found?.id ?? '')).toMatchObject({ label: 'op_a-g1' })
  expect(await machines.listByLabel('op_a')).toEqual([])
  expect(await open('other').listByLabel('op_a-g1')).toEqual([])
})

test('deleting is done when the machine is not there', async () => {
  const outcome = await machines.create(order('op_gone'))
  if (outcome.state !== 'created') throw new Error(outcome.state)
  await machines.delete(outcome.machine.id)
  await machines.delete(outcome.machine.id)
  expect(await machines.find(outcome.machine.id)).toBeUndefined()
})

test('an order is never repeated by itself, and says what is known about it', async () => {
  for (const [kind, state] of [
    [{ kind: 'drop-before' }, 'unknown'],
    [{ kind: 'drop-after-effect' }, 'unknown'],
    [{ kind: 'error-after-effect' }, 'unknown'],
    [{ kind: 'html-503' }, 'unknown'],
    [{ kind: 'hang' }, 'unknown'],
    [{ kind: 'hang-after-effect' }, 'unknown'],
    [{ kind: 'status', status: 202, body: 'no JSON' }, 'unknown'],
    [{ kind: 'status', status: 202, body: { instance: { id: 7 } } }, 'unknown'],
    [{ kind: 'status', status: 429, headers: { 'retry-after': '1' } }, 'not_now'],
    [{ kind: 'status', status: 429 }, 'not_now'],
    [{ kind: 'status', status: 401 }, 'not_now'],
    [{ kind: 'status', status: 403 }, 'not_now'],
    [{ kind: 'status', status: 400, body: { error: 'no\nname', status: 400 } }, 'refused'],
    [{ kind: 'status', status: 404, body: { error: 'no plan', status: 404 } }, 'refused'],
    [{ kind: 'status', status: 409 }, 'refused'],
    [{ kind: 'status', status: 422 }, 'refused'],
  ] as const) {
    await fetch(`${vultr.url}/_local/requests`, { method: 'DELETE' })
    await fault({ ...kind, method: 'POST', path: '/v2/instances' })
    const patient = kind.kind.startsWith('hang') ? open('test', vultr.apiKey, 1_000) : machines
    expect(await patient.create(order('op_unsure'))).toMatchObject({ state })
    expect(await requests('POST')).toHaveLength(1)
  }
})

test('an answer that breaks its own schema is none: no empty list, no machine that is gone', async () => {
  const outcome = await machines.create(order('op_odd'))
  if (outcome.state !== 'created') throw new Error(outcome.state)
  const { id } = outcome.machine
  const meta = { total: 0, links: { next: '', prev: '' } }
  for (const [path, body, ask] of [
    ['/v2/instances', 'no JSON', () => machines.listByLabel('op_odd')],
    ['/v2/instances', {}, () => machines.listOurs()],
    ['/v2/instances', { instances: [] }, () => machines.listOurs()],
    ['/v2/instances', { instances: [{ id: 7 }], meta }, () => machines.listOurs()],
    [`/v2/instances/${id}`, { instance: null }, () => machines.find(id)],
    ['/v2/snapshots', { meta }, () => machines.listOurSnapshots()],
    ['/v2/snapshots/', { snapshot: { id: 'x' } }, () => machines.findSnapshot('x')],
    ['/v2/vpcs', { vpcs: 'none', meta }, () => machines.listSpareNetworks()],
  ] as const) {
    await fault({ kind: 'status', status: 200, method: 'GET', path, body })
    await expect(ask()).rejects.toMatchObject({
      code: 'provider_unavailable',
      message: 'The provider of machines is in trouble. It answered something that is not understood.',
    })
  }
  await fault({ kind: 'status', status: 200, method: 'GET', path: '/v2/regions', body: { plans: [] } })
  expect(await open('test').create(order('op_odd-2'))).toEqual({ state: 'not_now', retryAfterSeconds: 0 })
  await machines.delete(id)
})

test('a key that is refused is told to the operator, without what the provider says', async () => {
  for (const status of [401, 403]) {
    const body = { error: 'Invalid API token.', status }
    await fault({ kind: 'status', status, body, method: 'GET', path: '/v2/instances' })
    await expect(machines.listOurs()).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect(said.splice(0)).toEqual([
      ['Vultr refuses the key, or what it may do', { provider: 'vultr', status }],
    ])
  }
})

test('reading and deleting are repeated while the provider is in trouble, as late as it asks', async () => {
  await fault({ kind: 'drop-before', method: 'GET', path: '/v2/instances' })
  await fault({
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '1' },
    method: 'GET',
    path: '/v2/instances',
  })
  expect(Array.isArray(await machines.listOurs())).toBe(true)
  expect(pauses).toEqual([expect.toSatisfy((ms) => ms >= 1000 && ms < 2000), 1000])
  expect(await requests('GET')).toHaveLength(3)
})

test('what is read is asked for five times, later and later, and never twice after the same pause', async () => {
  const refusal = async (): Promise<unknown> => machines.listOurs().catch((error: unknown) => error)
  await fault({ kind: 'status', status: 429, method: 'GET', path: '/v2/instances', times: null })
  expect(await refusal()).toMatchObject({ code: 'provider_unavailable' })
  expect(await requests('GET')).toHaveLength(5)
  for (const [at, ms] of pauses.entries()) {
    expect(ms).toBeGreaterThanOrEqual(1000 * 2 ** at)
    expect(ms).toBeLessThanOrEqual(2000 * 2 ** at)
  }
  const first = pauses.splice(0)
  await refusal()
  expect(pauses).not.toEqual(first)
})

test('a wait that is longer than half a minute is left to whoever asks, who is told how long', async () => {
  const headers = { 'retry-after': '120' }
  await fault({ kind: 'status', status: 429, headers, method: 'GET', path: '/v2/instances' })
  await expect(machines.listOurs()).rejects.toMatchObject({ retryAfterSeconds: 120 })
  expect(pauses).toEqual([])
  await fault({ kind: 'status', status: 429, headers, method: 'POST', path: '/v2/instances' })
  expect(await machines.create(order('op_later'))).toEqual({ state: 'not_now', retryAfterSeconds: 120 })
})

test('a provider that stays in trouble is told as such, without its own words', async () => {
  await fault({ kind: 'html-503', method: 'GET', path: '/v2/instances', times: null })
  const refusal = await machines.listOurs().catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(Problem)
  expect(refusal).toMatchObject({
    code: 'provider_unavailable',
    message: expect.not.stringContaining('html'),
  })
})

const kept = async (path: string): Promise<{ id: string; description: string }[]> => {
  const headers = { authorization: `Bearer ${vultr.apiKey}` }
  const answer = await fetch(`${vultr.url}/v2/${path}`, { headers })
  return Object.values((await answer.json()) as Record<string, never>)[0] ?? []
}
const make = async (path: string, body: object): Promise<void> => {
  const headers = { authorization: `Bearer ${vultr.apiKey}`, 'content-type': 'application/json' }
  const answer = await fetch(`${vultr.url}/v2/${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(await answer.text())
}

test('the private network and the firewall group are made once, and adopted, and let nothing in', async () => {
  const description = 'agentctl:shared'
  const ours = async (path: string) => (await kept(path)).filter((one) => one.description === description)
  await make('vpcs', { region: 'ewr', description })
  await Promise.all([open('shared'), open('shared')].map((one, at) => one.create(order(`op_shared-${at}`))))
  const third = open('shared')
  expect(await third.create(order('op_shared-3'))).toMatchObject({ state: 'created' })
  const bodies = (await requests('POST')).map(({ body }) => JSON.parse(body))
  expect(new Set(bodies.map((body) => body.attach_vpc[0])).size).toBe(1)
  expect(new Set(bodies.map((body) => body.firewall_group_id)).size).toBe(1)

  // What two servers have made at once, or a line that broke, is found and goes; what is used stays.
  const group = bodies[0].firewall_group_id
  // A minute later, since the provider tells ages in seconds and the oldest stays.
  writeFileSync(join(folder, 'clock'), '60000')
  await make('vpcs', { region: 'icn', description })
  await make('firewalls', { description })
  const anyone = { ip_type: 'v4', protocol: 'tcp', port: '22', subnet: '0.0.0.0', subnet_size: 0 }
  await make(`firewalls/${group}/rules`, anyone)
  for (const { kind, id } of await third.listSpareNetworks()) await third.deleteSpareNetwork(kind, id)
  expect(await third.listSpareNetworks()).toEqual([])
  expect(await ours('firewalls')).toHaveLength(1)
  expect(await ours('vpcs')).toHaveLength(2)
  await third.deleteSpareNetwork('vpc', bodies[0].attach_vpc[0])
  expect(await ours('vpcs')).toHaveLength(2)
  await open('shared').create(order('op_shared-4'))
  expect(await kept(`firewalls/${group}/rules`)).toEqual([])
})

test('a machine that Seoul has not is not ordered; one that is sold out at the last moment says so', async () => {
  expect(await machines.create({ ...order('op_none'), plan: 'vc2-6c-16gb' })).toEqual({ state: 'sold_out' })
  expect(await requests('POST')).toEqual([])
  for (const error of [
    'The plan chosen is not available in the selected region.',
    'Server add failed: out of stock',
    'You have reached the maximum number of instances for this account.',
  ]) {
    await fault({
      kind: 'status',
      status: 400,
      body: { error, status: 400 },
      method: 'POST',
      path: '/v2/instances',
    })
    expect(await machines.create(order('op_none'))).toEqual({ state: 'sold_out' })
  }
  await fault({ kind: 'html-503', method: 'GET', path: '/v2/regions', times: null })
  expect(await open('test').create(order('op_none'))).toMatchObject({ state: 'not_now' })
  expect(await requests('POST')).toHaveLength(3)
})

test('a network that somebody has deleted is made anew for the next order', async () => {
  const error = 'Invalid VPC, or not in the region of the instance.'
  await fault({
    kind: 'status',
    status: 400,
    body: { error, status: 400 },
    method: 'POST',
    path: '/v2/instances',
  })
  expect(await machines.create(order('op_gone-net'))).toMatchObject({ state: 'not_now' })
  expect(await machines.create(order('op_gone-net'))).toMatchObject({ state: 'created' })
})

test('a wrong key and a path out of bounds are not taken for an answer', async () => {
  await expect(open('test', 'wrong').listOurs()).rejects.toMatchObject({ code: 'provider_unavailable' })
  expect(await machines.find('../account?x=')).toBeUndefined()
})

async function booted(label: string): Promise<string> {
  const outcome = await machines.create(order(label))
  if (outcome.state !== 'created') throw new Error(outcome.state)
  const { id } = outcome.machine
  await eventually(async () => (await machines.find(id))?.isOn === true)
  return id
}

async function eventually(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error('It did not come to pass.')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('a disk is kept by halting its machine and copying it, and a machine is made of it', async () => {
  const id = await booted('op_kept-g1')
  await machines.halt(id)
  await machines.halt(id)
  expect(await machines.find(id)).toMatchObject({ isOn: false })
  const outcome = await machines.createSnapshot({ machineId: id, label: 'op_kept-snp_1' })
  expect(outcome).toMatchObject({ state: 'created', snapshot: { label: 'op_kept-snp_1' } })
  const [request] = await requests('POST').then((all) => all.filter(({ path }) => path === '/v2/snapshots'))
  expect(JSON.parse(request?.body ?? '')).toEqual({
    instance_id: id,
    description: 'agentctl:test:op_kept-snp_1',
  })
  const [found] = await machines.listSnapshotsByLabel('op_kept-snp_1')
  const snapshotId = found?.id ?? ''
  await eventually(async () => (await machines.findSnapshot(snapshotId))?.isComplete === true)
  expect(await open('other').listOurSnapshots()).toEqual([])
  await machines.delete(id)

  expect(await machines.create({ ...order('op_kept-g2'), snapshotId })).toMatchObject({ state: 'created' })
  const orders = await requests('POST').then((all) => all.filter(({ path }) => path === '/v2/instances'))
  const restoring = JSON.parse(orders.at(-1)?.body ?? '')
  expect(restoring.snapshot_id).toBe(snapshotId)
  expect(restoring).not.toHaveProperty('os_id')
  await machines.deleteSnapshot(snapshotId)
  await machines.deleteSnapshot(snapshotId)
  expect(await machines.findSnapshot(snapshotId)).toBeUndefined()
})

test('an order of a snapshot is never repeated by itself, and says what is known about it', async () => {
  const id = await booted('op_unsure-g1')
  for (const [kind, state] of [
    [{ kind: 'drop-before' }, 'unknown'],
    [{ kind: 'drop-after-effect' }, 'unknown'],
    [{ kind: 'error-after-effect' }, 'unknown'],
    [{ kind: 'html-503' }, 'unknown'],
    [{ kind: 'status', status: 429, headers: { 'retry-after': '1' } }, 'not_now'],
    [{ kind: 'status', status: 400, body: { error: 'no room', status: 400 } }, 'refused'],
  ] as const) {
    await fetch(`${vultr.url}/_local/requests`, { method: 'DELETE' })
    await fault({ ...kind, method: 'POST', path: '/v2/snapshots' })
    expect(await machines.createSnapshot({ machineId: id, label: 'snp_unsure' })).toMatchObject({ state })
    expect(await requests('POST')).toHaveLength(1)
  }
  expect(await machines.listSnapshotsByLabel('snp_unsure')).toHaveLength(2)
})

test('another script is there when the machine boots again; a machine that is gone says so', async () => {
  const id = await booted('op_again-g1')
  expect(await machines.rebootWith(id, '#!/bin/sh\necho again\n')).toBe(true)
  await eventually(async () => {
    const printed = await fetch(`${vultr.url}/_local/machines/${id}/console`)
    return (await printed.text()).includes('again')
  })
  await machines.delete(id)
  expect(await machines.rebootWith(id, '#!/bin/sh\n')).toBe(false)
  await machines.halt(id)
})
