import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { openPool } from './db.ts'
import { checkKeys } from './key-check.ts'
import { openKeyring, openPepper } from './keyring.ts'

const database = await testDatabase()
const folder = mkdtempSync(join(tmpdir(), 'agentctl-keys-'))
afterAll(() => rmSync(folder, { recursive: true }))

function keyFile(name: string, ids: string[]): string {
  const path = join(folder, name)
  const key = Buffer.alloc(32, name).toString('base64')
  writeFileSync(path, JSON.stringify({ keys: ids.map((id) => ({ id, key })) }), { mode: 0o600 })
  return path
}

const keys = (sealing: string[], peppers: string[]) => ({
  keyring: openKeyring(keyFile('keyring', sealing)),
  pepper: openPepper(keyFile('pepper', peppers)),
})

test('a server without the keys of its rows does not start, and says which file is the wrong one', async () => {
  const sql = openPool(database.url, { connectionsMax: 1 })
  await sql`insert into accounts values ('acc_1', clock_timestamp(), clock_timestamp())`
  await sql`
    insert into phones (phone_hmac, pepper_version, account_id, linked_at)
    values (${Buffer.alloc(32)}, 2, 'acc_1', clock_timestamp())`
  await sql`insert into namespaces values ('ns_1', 'one', 'acc_1', clock_timestamp())`
  await sql`
    insert into agents (id, namespace_id, name, label, size, status, created_at, used_at)
    values ('agt_1', 'ns_1', 'a', 'a-one', 'nano', 'stopped', clock_timestamp(), clock_timestamp())`
  await sql`
    insert into secrets (agent_id, namespace_id, name, version, key_id, nonce, ciphertext, updated_at)
    values ('agt_1', 'ns_1', 'TOKEN', 1, 'k7', ${Buffer.alloc(12)}, ${Buffer.alloc(20)}, clock_timestamp())`
  await sql.end()

  await expect(checkKeys(database.db.jobs, keys(['k1'], ['1', '2']))).rejects.toThrow(
    'the key k7, which KEYRING_FILE',
  )
  await expect(checkKeys(database.db.jobs, keys(['k1', 'k7'], ['1']))).rejects.toThrow(
    'pepper 2, which PEPPER_FILE',
  )
  await expect(checkKeys(database.db.jobs, keys(['k1', 'k7'], ['1', '2']))).resolves.toBeUndefined()
})
