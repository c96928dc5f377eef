import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startVultr } from '@agentctl/localcloud/vultr/vultr.ts'
import { afterAll, afterEach, expect, test } from 'vitest'
import { Problem } from '../../platform/problem.ts'
import { Secret } from '../../platform/secret.ts'
import { openTransport } from '../transport.ts'
import { openMachines } from './vultr.ts'

const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-vultr-'))
const vultr = await startVultr({ dataDir: folder, log: () => {} })
const transport = openTransport({ processors: [vultr.url], infrastructure: [] })
afterAll(async () => {
  await transport.close()
  await vultr.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})
const open = (environment: string, apiKey = vultr.apiKey) =>
  openMachines({ vultr: { baseUrl: vultr.url, apiKey: new Secret(apiKey), environment } }, transport)
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
  ).filter((request) => request.method === method)
afterEach(async () => {
  await fetch(`${vultr.url}/_local/faults`, { method: 'DELETE' })
  await fetch(`${vultr.url}/_local/requests`, { method: 'DELETE' })
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
    [{ kind: 'status', status: 429, headers: { 'retry-after': '1' } }, 'not_now'],
    [{ kind: 'status', status: 401 }, 'not_now'],
    [{ kind: 'status', status: 400, body: { error: 'no\nstock', status: 400 } }, 'refused'],
  ] as const) {
    await fetch(`${vultr.url}/_local/requests`, { method: 'DELETE' })
    await fault({ ...kind, method: 'POST', path: '/v2/instances' })
    expect(await machines.create(order('op_unsure'))).toMatchObject({ state })
    expect(await requests('POST')).toHaveLength(1)
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
  const begun = performance.now()
  expect(Array.isArray(await machines.listOurs())).toBe(true)
  expect(performance.now() - begun).toBeGreaterThan(1000)
  expect(await requests('GET')).toHaveLength(3)
})

test('a provider that stays in trouble is told as such, without its own words', async () => {
  await fault({ kind: 'html-503', method: 'GET', path: '/v2/instances', times: null })
  const refusal = await machines.listOurs().catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(Problem)
  expect(refusal).toMatchObject({
    code: 'provider_unavailable',
    message: expect.not.stringContaining('html'),
  })
}, 30_000)

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
