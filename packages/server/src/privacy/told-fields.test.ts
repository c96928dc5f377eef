import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { silentLog } from '../platform/log.ts'
import { keepToldFields, toldFields } from './told-fields.ts'

const { db } = await testDatabase()
const clock = { now: () => new Date('2027-03-01T00:00:00Z') }
const host = {
  name: 'Twilio',
  what: 'codes',
  baseUrl: 'https://verify.example',
  fields: ['To', 'Code'],
} as const
const caller = (told: string[], tellable: string[] | null = ['To', 'Code']) => ({
  db,
  clock,
  log: silentLog,
  hosts: [host],
  egress: { told: () => told, tellable: () => tellable ?? undefined },
})
const noted = () =>
  db.jobs`select processor, field, declared, told from told_fields order by processor, field`
const stops: (() => Promise<void>)[] = []
afterAll(() => Promise.all(stops.map((stop) => stop())))
const start = async (one: ReturnType<typeof caller>) => {
  const { stop } = await keepToldFields(one)
  stops.push(stop)
  return stop
}

test('what one process was told and another may tell is noted for all, and stays when they end', async () => {
  const told: string[] = []
  const stop = await start(caller(told))
  await start(caller(['To']))
  expect(await noted()).toEqual([
    { processor: 'Twilio', field: 'Code', declared: true, told: false },
    { processor: 'Twilio', field: 'To', declared: true, told: true },
  ])
  told.push('Code')
  await stop()
  expect(await noted()).toEqual([
    { processor: 'Twilio', field: 'Code', declared: true, told: true },
    { processor: 'Twilio', field: 'To', declared: true, told: true },
  ])
})

test('a field that is on no list, and a process without a list, are noted as that', () => {
  expect(toldFields(caller(['FriendlyName'], null))).toEqual([
    { processor: 'Twilio', field: '*', declared: false, told: false },
    { processor: 'Twilio', field: 'FriendlyName', declared: false, told: true },
  ])
})
