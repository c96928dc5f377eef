import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { newestText } from '@agentctl/server/privacy/policy-versions.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Platform } from '../many-servers/platform.ts'
import { askAlone } from './alone.ts'
import { Canaries } from './canaries.ts'
import { Drive } from './drive.ts'
import { placesOf } from './places.ts'
import { Search } from './search.ts'
import { mayBe, type Place } from './where.ts'

const folder = mkdtempSync(join(tmpdir(), 'agentctl-canary-'))
let platform: Platform
let canaries: Canaries
let drive: Drive

beforeAll(async () => {
  platform = await Platform.start(folder, 1)
  canaries = new Canaries(platform)
  drive = await Drive.start(platform, canaries)
}, 120_000)

afterAll(async () => {
  drive?.end()
  await platform?.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}, 60_000)

interface Sighting {
  kind: string
  place: Place
  /** Where exactly, and in which form. */
  at: string
}
const seen: Sighting[] = []

/** In these places, or everywhere. */
async function look(only?: readonly Place[]): Promise<void> {
  const search = new Search(canaries.all)
  const places = placesOf(platform, drive.printed)
  for (const place of only ?? (Object.keys(places) as Place[])) {
    for await (const { name, bytes } of places[place]()) {
      for (const { kind, form } of search.in(bytes)) seen.push({ kind, place, at: `${name}: ${form}` })
    }
  }
}

/** A leak of each sort, in every place; answers what has to be found of it. */
async function plant(): Promise<string[]> {
  const { phone, secret, card, privateKey } = canaries
  const { local, localFile } = platform.cloud
  const cloud = dirname(localFile)
  const told = Buffer.from(JSON.stringify({ a: { to: phone } })).toString('base64')
  await platform.sql`create table careless (note text)`
  await platform.sql`insert into careless values (${told})`
  appendFileSync(join(folder, 'api-1.log'), `{"fault":"${Buffer.from(secret).toString('hex')}"}\n`)
  writeFileSync(join(folder, 'api-1', 'kept.gz'), gzipSync(`paid with ${card}`))
  writeFileSync(join(cloud, 'vultr/snapshots/left'), secret)
  writeFileSync(join(cloud, 'vultr/machines/left'), Buffer.from(privateKey.slice(2), 'hex'))
  writeFileSync(join(cloud, 'chain/left'), privateKey.slice(2))
  drive.printed.push({ name: 'planted', bytes: Buffer.from(`Bearer ${card}`) })
  await askAlone(`${local.cloudflare.url}/client/v4/zones?about=${phone.slice(1)}`)
  await askAlone(`${local.vultr.url}/v2/regions`, { headers: { 'x-note': encodeURIComponent(secret) } })
  await askAlone(`${local.stripe.url}/v1/customers`, { body: `phone=${encodeURIComponent(phone)}` })
  await askAlone(`${local.twilio.url}/v2/x`, { body: `Body=${Buffer.from(card).toString('base64url')}` })
  return [
    'card number in command',
    'card number in files',
    'card number in twilio',
    'phone number in cloudflare',
    'phone number in database',
    'phone number in database files',
    'phone number in stripe',
    'private key of a wallet in chain',
    'private key of a wallet in machine',
    'secret of an agent in logs',
    'secret of an agent in snapshots',
    'secret of an agent in vultr',
  ]
}

test('canaries are driven through everything that the service does', { timeout: 240_000 }, async () => {
  await Promise.all([drive.fund(), drive.logIn()])
  const key = await drive.makeKeys()
  await drive.pay()
  await drive.deploy()
  const statuses = await drive.refuse(key)
  expect(statuses.length).toBeGreaterThan(300)
  expect(statuses.filter((status) => status >= 500 && status !== 503)).toEqual([])
  // What goes with the machine, and later with the account, is looked at before.
  await look(['machine', 'vultr'])
  await drive.rest()
  await drive.useRights()
  await look(['database', 'snapshots', 'files'])
  await drive.leave()
})

test('each is where the policy says that it may be, and nowhere else but where a leak was planted', {
  timeout: 120_000,
}, async () => {
  const planted = await plant()
  // So that the files of the database are what the database is.
  await platform.sql`checkpoint`
  await look()
  const leaks = seen.filter(({ kind, place }) => !mayBe[kind]?.[place])
  const found = [...new Set(leaks.map(({ kind, place }) => `${kind} in ${place}`))].sort()
  expect(found, JSON.stringify(leaks, null, 2)).toEqual(planted)
})

test('the table of places is about these canaries, cites the policy, and each was where it says', () => {
  expect(Object.keys(mayBe).sort()).toEqual([...new Set(canaries.all.map(({ kind }) => kind))].sort())
  const known = new Set(newestText.flatMap(({ sentences }) => sentences).map(({ id }) => id))
  const cited = Object.values(mayBe).flatMap((places) => Object.values(places))
  expect(cited.filter((id) => !known.has(id))).toEqual([])
  const wasThere = new Set(seen.map(({ kind, place }) => `${kind} in ${place}`))
  const allowed = Object.entries(mayBe).flatMap(([kind, places]) =>
    Object.keys(places).map((place) => `${kind} in ${place}`),
  )
  expect(allowed.filter((pair) => !wasThere.has(pair))).toEqual([])
})
