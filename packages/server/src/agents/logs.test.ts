import { expect, test } from 'vitest'
import { LOG_LINES_PER_DAY } from './limits.ts'
import { storeLogs } from './logs.ts'
import { deployLive, type Person, type TestMachine, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()
const alice = await cloud.person('alice')

const linesOf = (body: unknown): string[] =>
  String(body)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).text)

const read = async (person: Person, agent: string, query = '') =>
  linesOf((await person.call('GET', `/v1/agents/${agent}/logs${query}`)).body)

async function agentWithMachine(name: string): Promise<TestMachine> {
  return (await deployLive(cloud, alice, name, name)).machine
}

test('a batch that comes twice is stored once', async () => {
  const machine = await agentWithMachine('dedupe')
  const lines = ['a', 'b'].map((text, sequence) => ({
    sequence,
    at: new Date().toISOString(),
    stream: 'stdout',
    releaseId: null,
    text,
  }))
  await machine.post('/v1/runner/logs', { lines })
  await machine.post('/v1/runner/logs', { lines })
  expect(await read(alice, 'dedupe')).toEqual(['a', 'b'])
})

test('lines are read by tail, since and grep', async () => {
  const machine = await agentWithMachine('reads')
  const now = Date.now()
  await machine.log(new Date(now - 120_000), 'old One', 'old two')
  await machine.log(new Date(now - 1000), 'new one', 'new\0two')
  expect(await read(alice, 'reads')).toEqual(['old One', 'old two', 'new one', 'new\uFFFDtwo'])
  expect(await read(alice, 'reads', '?tail=1')).toEqual(['new\uFFFDtwo'])
  expect(await read(alice, 'reads', '?tail=0')).toEqual([])
  expect(await read(alice, 'reads', `?since=${new Date(now - 60_000).toISOString()}`)).toHaveLength(2)
  expect(await read(alice, 'reads', '?grep=ONE')).toEqual(['old One', 'new one'])
  expect(await read(alice, 'reads', '?grep=%25')).toEqual([])
})

test('who follows gets what is written from then on, also late lines, until the agent is deleted', async () => {
  const machine = await agentWithMachine('follows')
  await machine.log(new Date(), 'before')
  const response = await cloud.app.request('/v1/agents/follows/logs?follow=true&tail=10', {
    headers: { authorization: `Bearer ${alice.account}` },
  })
  const seen: string[] = []
  const decoder = new TextDecoder()
  const reader = response.body?.getReader()
  const more = async (): Promise<boolean> => {
    const part = await reader?.read()
    if (!part || part.done) return false
    seen.push(...linesOf(decoder.decode(part.value)))
    return true
  }
  await more()
  expect(seen).toEqual(['before'])
  await machine.log(new Date(), 'now')
  await more()
  await machine.log(new Date(Date.now() - 30_000), 'written earlier, arrived later')
  await more()
  expect(seen).toEqual(['before', 'now', 'written earlier, arrived later'])
  await alice.call('DELETE', '/v1/agents/follows')
  await machine.log(new Date(), 'after the end')
  await cloud.sql`select pg_notify('logs', id) from agents where name = 'follows'`
  expect(await more()).toBe(false)
})

test('a machine cannot choose times that outlive retention', async () => {
  const machine = await agentWithMachine('liar')
  await machine.log(new Date(Date.now() + 365 * 86_400_000), 'from the future')
  await machine.log(new Date(Date.now() - 365 * 86_400_000), 'from the past')
  const rows = await cloud.sql<{ at: Date }[]>`
    select at from agent_logs where line in ('from the future', 'from the past')`
  expect(rows).toHaveLength(2)
  for (const { at } of rows) expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(60_000)
})

test('an agent that writes more than its allowance is cut off, and told so', async () => {
  const machine = await agentWithMachine('chatty')
  const [row] = await cloud.sql<{ machineId: string; agentId: string }[]>`
    select id as "machineId", agent_id as "agentId" from machines where id = ${machine.id}`
  if (!row) throw new Error('The machine has no row.')
  const day = Math.floor(Date.now() / 86_400_000)
  const allowance = {
    day,
    used: new Map([[row.agentId, { lines: LOG_LINES_PER_DAY - 2, countedAt: performance.now() }]]),
  }
  const line = (text: string, sequence: number) => ({
    sequence,
    at: new Date().toISOString(),
    stream: 'stdout' as const,
    releaseId: null,
    text,
  })
  await storeLogs({ ...cloud.deps, allowance }, row, [line('kept', 0), line('cut', 1), line('gone', 2)])
  await storeLogs({ ...cloud.deps, allowance }, row, [line('gone too', 3)])
  const last = await read(alice, 'chatty', '?tail=2')
  expect(last).toEqual([
    'kept',
    `Log lines of today end here: an agent may write ${LOG_LINES_PER_DAY} a day.`,
  ])
})
