import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkKeys, sealingKeys } from '../platform/key-check.ts'
import { type Keyring, openKeyring } from '../platform/keyring.ts'
import { openRouterCredential } from '../platform/router-credential.ts'
import { reseal } from './reseal.ts'
import { openSecrets } from './secrets.ts'
import { deployLive, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()
const alice = await cloud.person('alice')
const folder = mkdtempSync(join(tmpdir(), 'agentctl-reseal-'))
afterAll(() => rmSync(folder, { recursive: true }))

const k2 = Buffer.alloc(32, 'two').toString('base64')
function keyringOf(...keys: { id: string; key: string }[]): Keyring {
  const path = join(folder, `${keys.map(({ id }) => id).join('-')}.json`)
  writeFileSync(path, JSON.stringify({ keys }), { mode: 0o600 })
  return openKeyring(path)
}

test('after sealing anew, the newest key opens everything and the older ones may go', async () => {
  const { db } = cloud.deps
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  await alice.call('PATCH', '/v1/agents/hello/secrets', { secrets: { TOKEN: 'canary', OTHER: 'x' } })
  const { agent } = await deployLive(cloud, alice, 'hello', 'x')
  const { keys } = JSON.parse(readFileSync(cloud.deps.config.keyringFile, 'utf8'))
  const [k1] = keys
  const both = keyringOf(k1, { id: 'k2', key: k2 })
  const alone = keyringOf({ id: 'k2', key: k2 })
  await expect(checkKeys(db.jobs, { keyring: alone, pepper: undefined })).rejects.toThrow('the key k1')
  const [before] = await cloud.sql`select version, updated_at from secrets where name = 'TOKEN'`

  expect(await reseal({ db, keyring: both })).toEqual({
    secrets: 2,
    credentials: 1,
    webhooks: 0,
    stillNeeded: [],
  })
  expect(await reseal({ db, keyring: both })).toEqual({
    secrets: 0,
    credentials: 0,
    webhooks: 0,
    stillNeeded: [],
  })

  await expect(checkKeys(db.jobs, { keyring: alone, pepper: undefined })).resolves.toBeUndefined()
  expect(await openSecrets(cloud.sql, alone, agent.id)).toEqual({ TOKEN: 'canary', OTHER: 'x' })
  const [machine] = await cloud.sql<{ id: string; keyId: string; nonce: Buffer; ciphertext: Buffer }[]>`
    select id, key_id as "keyId", router_nonce as nonce, router_ciphertext as ciphertext from machines`
  if (!machine) throw new Error('There is no machine.')
  expect(openRouterCredential(alone, machine.id, machine).reveal()).toMatch(/^.{20,}$/)
  expect((await cloud.sql`select version, updated_at from secrets where name = 'TOKEN'`)[0]).toEqual(before)
})

test('an order under way still needs the key that sealed the token of its machine', async () => {
  const { db } = cloud.deps
  await cloud.sql`
    insert into operations (id, kind, subject, step_data, created_at)
    values ('op_order', 'nothing', 'agt_x', '{"bootstrap": {"keyId": "k1", "nonce": "", "ciphertext": ""}}', clock_timestamp())`
  expect(await sealingKeys(db.jobs)).toContain('k1')
  const both = keyringOf({ id: 'k1', key: k2 }, { id: 'k2', key: k2 })
  expect((await reseal({ db, keyring: both })).stillNeeded).toEqual(['k1'])
  await cloud.sql`update operations set state = 'done' where id = 'op_order'`
  expect((await reseal({ db, keyring: both })).stillNeeded).toEqual([])
})
