import { randomUUID } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { type RoutedAgents, routedAgents } from '../../../../test/routed-agents.ts'
import { silentLog } from '../platform/log.ts'
import { openRouteTable } from './route-table.ts'
import { findRouteRow } from './store.ts'

const database = await testDatabase()
let agents: RoutedAgents

beforeAll(async () => {
  agents = await routedAgents(database)
})

const deps = () => ({ db: database.db, keyring: agents.keyring, log: silentLog })

/** A table that counts how often it reads the database. */
async function countingTable() {
  const reads: string[] = []
  const table = await openRouteTable(deps(), (sql, label) => {
    reads.push(label)
    return findRouteRow(sql, label)
  })
  return { table, reads }
}

/** Resolves when everything announced so far has been heard: announcements keep their order. */
async function quiet(): Promise<void> {
  const mark = `mark-${randomUUID()}`
  let heard = (): void => {}
  const hearing = new Promise<void>((resolve) => {
    heard = resolve
  })
  await database.db.listen('agents', (payload) => payload === mark && heard())
  await agents.sql`select pg_notify('agents', ${mark})`
  await hearing
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('a label is read once, however many ask at the same time', async () => {
  const agent = await agents.add({ port: 7070 })
  await quiet()
  const { table, reads } = await countingTable()
  const routes = await Promise.all(Array.from({ length: 50 }, () => table.find(agent.label)))
  expect(new Set(routes.map((route) => route?.machine?.port))).toEqual(new Set([7070]))
  await table.find(agent.label)
  expect(reads).toEqual([agent.label])
})

test('that a label is unknown is remembered until an agent appears', async () => {
  await quiet()
  const { table, reads } = await countingTable()
  expect(await table.find('nobody')).toBeUndefined()
  expect(await table.find('nobody')).toBeUndefined()
  expect(reads).toEqual(['nobody'])
  await agents.add({})
  await until('it is read again', async () => {
    await table.find('nobody')
    return reads.length === 2
  })
})

test('random labels do not grow the table past its bound', async () => {
  await quiet()
  const table = await openRouteTable(deps(), () => Promise.resolve(undefined))
  for (let count = 0; count < 20_000; count++) await table.find(`random-${count}`)
  expect(table.size).toBe(10_000)
})

test('a change during a look-up is not covered up by what the look-up read before', async () => {
  const agent = await agents.add({ port: 7070 })
  await quiet()
  let reached = (): void => {}
  const reading = new Promise<void>((resolve) => {
    reached = resolve
  })
  let goOn = (): void => {}
  const pause = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let announced = 0
  await database.db.listen('agents', () => announced++)
  let first = true
  const table = await openRouteTable(deps(), async (sql, label) => {
    const row = await findRouteRow(sql, label)
    if (!first) return row
    first = false
    reached()
    await pause
    return row
  })
  const early = table.find(agent.label)
  await reading
  const before = announced
  await agents.movePort(agent, 7171)
  await until('the change is announced', () => announced > before)
  expect((await table.find(agent.label))?.machine?.port).toBe(7171)
  goOn()
  expect((await early)?.machine?.port).toBe(7070)
  expect((await table.find(agent.label))?.machine?.port).toBe(7171)
})

test('routes stay known while the database cannot be read, and unknown ones are not made up', async () => {
  const agent = await agents.add({ port: 7070 })
  await quiet()
  let broken = false
  const table = await openRouteTable(deps(), (sql, label) =>
    broken ? Promise.reject(new Error('the database is away')) : findRouteRow(sql, label),
  )
  await table.find(agent.label)
  broken = true
  expect((await table.find(agent.label))?.machine?.port).toBe(7070)
  await expect(table.find('other')).rejects.toThrow('the database is away')
})

test('what was announced while the connection was broken is not missed', async () => {
  const agent = await agents.add({ port: 7070 })
  const { table } = await countingTable()
  expect((await table.find(agent.label))?.machine?.port).toBe(7070)
  await agents.sql.begin(async (tx) => {
    // The break comes before the commit: nobody listens when the change is announced.
    await tx`update machines set port = 7272 where id = ${agent.machineId}`
    await tx`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()`
  })
  await until('the new port is known', async () => (await table.find(agent.label))?.machine?.port === 7272)
})

test('a credential copied from another machine opens nothing', async () => {
  const [one, two] = [await agents.add({ port: 7070 }), await agents.add({ port: 7070 })]
  await agents.sql`
    update machines set router_nonce = m.router_nonce, router_ciphertext = m.router_ciphertext
    from machines m where machines.id = ${one.machineId} and m.id = ${two.machineId}`
  const { table } = await countingTable()
  await expect(table.find(one.label)).rejects.toThrow()
  expect((await table.find(two.label))?.machine?.credential.reveal()).toBe('router-credential')
})

test('an address that is a name is not connected to', async () => {
  const agent = await agents.add({ port: 7070 })
  await agents.sql`update machines set address = 'metadata.internal' where id = ${agent.machineId}`
  const { table } = await countingTable()
  expect(await table.find(agent.label)).toMatchObject({ machine: undefined })
})
