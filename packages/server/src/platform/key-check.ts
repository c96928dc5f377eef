import type { Sql } from './db.ts'
import { keysInUse } from './key-check-store.ts'
import type { Keyring, Pepper } from './keyring.ts'

/**
 * Refuses to serve with key files that do not belong to this database. A server that made new keys instead would
 * lock out every phone user and lose every secret, and would be noticed only then.
 */
export async function checkKeys(
  sql: Sql,
  { keyring, pepper }: { keyring: Keyring; pepper: Pepper | undefined },
): Promise<void> {
  const { sealing, pepperVersions } = await keysInUse(sql)
  const key = sealing.find((id) => !keyring.ids.includes(id))
  if (key !== undefined) {
    throw new Error(
      `Rows of the database are sealed with the key ${key}, which KEYRING_FILE has not. Restore that file.`,
    )
  }
  const version = pepper && pepperVersions.find((used) => !pepper.versions.includes(used))
  if (version !== undefined) {
    throw new Error(
      `Phones were hashed with pepper ${version}, which PEPPER_FILE has not. Restore that file.`,
    )
  }
}

/** Keys that rows of this database need to be opened. */
export async function sealingKeys(sql: Sql): Promise<string[]> {
  return (await keysInUse(sql)).sealing
}
