import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import { openPool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { actsOf, testOperators } from './test-operators.ts'

const { url, db } = await testDatabase()
const sql = openPool(url, { connectionsMax: 1 })
afterAll(() => sql.end())
let now = new Date('2027-03-01T09:00:00Z')
const { alice, bob } = testOperators({
  db,
  clock: { now: () => now },
  config: {} as never,
  pepper: { version: 1, versions: [1], hmac: () => Buffer.alloc(32) },
  transfers: [],
  cards: undefined,
})
const path = '/v1/operator/rights-requests'
const DAY = 86_400

test('a request that came by mail is due in ten days, and shown as overdue after them, until it is answered', async () => {
  const account = newId('acc')
  await sql`insert into accounts values (${account}, ${now}, ${now})`
  const noted = await alice('POST', path, { kind: 'delete', cameBy: 'mail', account })
  expect(noted).toMatchObject({
    status: 201,
    body: { account, dueAt: '2027-03-11T09:00:00.000Z', isOverdue: false, outcome: null },
  })
  const early = await alice('POST', path, {
    kind: 'access',
    cameBy: 'post',
    receivedAt: '2027-02-25T09:00:00.000Z',
  })
  expect(early.body.dueAt).toBe('2027-03-07T09:00:00.000Z')
  now = secondsAfter(now, 10 * DAY)
  // At the very end of its term it is not overdue yet; the one that came earlier is.
  expect((await bob('GET', path)).body).toMatchObject({
    overdue: 1,
    requests: [
      { id: early.body.id, isOverdue: true },
      { id: noted.body.id, isOverdue: false },
    ],
  })
  now = secondsAfter(now, 1)
  expect((await bob('GET', path)).body.overdue).toBe(2)
  const answer = `${path}/${noted.body.id}/answer`
  expect((await bob('POST', answer, { outcome: 'done' })).body).toMatchObject({
    outcome: 'done',
    isOverdue: false,
  })
  expect((await alice('POST', answer, { outcome: 'done' })).status).toBe(200)
  expect((await alice('POST', answer, { outcome: 'refused' })).body.code).toBe('conflict')
  expect((await alice('GET', path)).body).toMatchObject({ overdue: 1, requests: [{ id: early.body.id }] })
  expect((await alice('GET', `${path}?all=true`)).body.requests).toHaveLength(2)
  const acts = (await actsOf({ db })).filter((line) => line.includes(noted.body.id))
  expect(acts.sort()).toEqual([
    `alice answerRightsRequest ${noted.body.id} conflict`,
    `alice answerRightsRequest ${noted.body.id} done`,
    `alice noteRightsRequest ${noted.body.id} done`,
    `bob answerRightsRequest ${noted.body.id} done`,
  ])
})

test('what cannot be is refused: a day to come, an account that there is not, a request that there is not', async () => {
  const tomorrow = secondsAfter(now, DAY).toISOString()
  const late = await alice('POST', path, { kind: 'access', cameBy: 'mail', receivedAt: tomorrow })
  expect(late.status).toBe(400)
  const nobody = await alice('POST', path, { kind: 'access', cameBy: 'mail', account: newId('acc') })
  expect(nobody.body.code).toBe('not_found')
  const unknown = await alice('POST', `${path}/${newId('rrq')}/answer`, { outcome: 'done' })
  expect(unknown.body.code).toBe('not_found')
})
