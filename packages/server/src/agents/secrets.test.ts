import { expect, test } from 'vitest'
import { openSecrets } from './secrets.ts'
import { deployLive, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()
const alice = await cloud.person('alice')
const set = (agent: string, secrets: Record<string, string | null>) =>
  alice.call('PATCH', `/v1/agents/${agent}/secrets`, { secrets })

test('a secret reaches the process and nobody else', async () => {
  await alice.call('POST', '/v1/agents', { name: 'hello' })
  expect((await set('hello', { TOKEN: 'canary-value' })).body).toEqual({ set: ['TOKEN'], unset: [] })
  const { machine, release } = await deployLive(cloud, alice, 'hello', 'x')
  machine.revision = -1
  expect((await machine.poll()).release?.environment).toMatchObject({
    TOKEN: 'canary-value',
    AGENTCTL_AGENT: 'hello',
    AGENTCTL_RELEASE: '1',
  })
  const listed = await alice.call('GET', '/v1/agents/hello/secrets')
  expect(listed.body.secrets).toEqual([{ name: 'TOKEN', version: 1, updatedAt: expect.any(String) }])
  const [row] = await cloud.sql<{ all: string }[]>`
    select string_agg(encode(ciphertext, 'escape'), '') as all from secrets`
  expect(row?.all).not.toContain('canary')
  // What is set now is for the next start: a restart gets it.
  await set('hello', { TOKEN: 'second' })
  const restarted = await alice.call('POST', '/v1/agents/hello/restart')
  expect((await machine.learns(restarted.body.id)).release?.environment.TOKEN).toBe('second')
  expect(release.number).toBe(1)
})

test('setting and unsetting happen together or not at all', async () => {
  await alice.call('POST', '/v1/agents', { name: 'both' })
  await set('both', { A: '1', B: '2' })
  expect((await set('both', { A: null, C: '3', NEVER: null })).body).toEqual({ set: ['C'], unset: ['A'] })
  expect((await set('both', { D: '4', PORT: '80' })).body.code).toBe('invalid_config')
  expect((await set('both', { D: '4', AGENTCTL_URL: 'x' })).body.code).toBe('invalid_config')
  const { body } = await alice.call('GET', '/v1/agents/both/secrets')
  expect(body.secrets.map(({ name }: { name: string }) => name)).toEqual(['B', 'C'])
})

test('an empty value is refused', async () => {
  await alice.call('POST', '/v1/agents', { name: 'empty' })
  expect((await set('empty', { A: '' })).status).toBe(400)
})

test('a value that was moved, renamed, aged or changed does not open', async () => {
  const made = await alice.call('POST', '/v1/agents', { name: 'target' })
  const other = await alice.call('POST', '/v1/agents', { name: 'source' })
  const tampered = async (change: () => Promise<unknown>) => {
    await set('target', { A: 'value', B: 'other' })
    await set('source', { A: 'of source' })
    await change()
    await expect(openSecrets(cloud.sql, cloud.deps.keyring, made.body.id)).rejects.toThrow()
    await cloud.sql`delete from secrets`
  }
  const id = made.body.id
  await tampered(
    () => cloud.sql`update secrets set version = version + 1 where agent_id = ${id} and name = 'A'`,
  )
  await tampered(
    () => cloud.sql`
      update secrets t set nonce = s.nonce, ciphertext = s.ciphertext from secrets s
      where t.agent_id = ${id} and t.name = 'A' and s.agent_id = ${id} and s.name = 'B'`,
  )
  await tampered(
    () => cloud.sql`
      update secrets t set nonce = s.nonce, ciphertext = s.ciphertext, version = s.version from secrets s
      where t.agent_id = ${id} and t.name = 'A' and s.agent_id = ${other.body.id} and s.name = 'A'`,
  )
  await tampered(
    () => cloud.sql`
      update secrets set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)
      where agent_id = ${id} and name = 'A'`,
  )
})

test('writers of the same secret at once leave one that opens', async () => {
  const made = await alice.call('POST', '/v1/agents', { name: 'raced' })
  await Promise.all(['1', '2', '3', '4'].map((value) => set('raced', { A: value })))
  const opened = await openSecrets(cloud.sql, cloud.deps.keyring, made.body.id)
  expect(['1', '2', '3', '4']).toContain(opened.A)
  const { body } = await alice.call('GET', '/v1/agents/raced/secrets')
  expect(body.secrets[0].version).toBe(4)
})
