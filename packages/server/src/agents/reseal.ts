import type { Deps } from '../deps.ts'
import { resealWebhooks } from '../identity/webhooks.ts'
import type { Sql } from '../platform/db.ts'
import { sealingKeys } from '../platform/key-check.ts'
import { openRouterCredential, sealRouterCredential } from '../platform/router-credential.ts'
import {
  lockCredentialsOfOtherKeys,
  lockSecretsOfOtherKeys,
  resealCredential,
  resealSecret,
} from './reseal-store.ts'
import { secretBoundTo } from './secrets.ts'

const AT_ONCE = 200

export interface Resealed {
  secrets: number
  credentials: number
  webhooks: number
  /** Keys that rows still need: orders under way, or rows that somebody held just then. */
  stillNeeded: string[]
}

/**
 * Seals everything at rest with the newest key, so that older ones may leave the keyring. All servers must know the
 * newest key already, since they open what it has sealed from now on. As good done twice as once.
 */
export async function reseal({ db, keyring }: Pick<Deps, 'db' | 'keyring'>): Promise<Resealed> {
  const newest = keyring.ids.at(-1) ?? ''
  const secrets = await untilNone(db, async (tx) => {
    const rows = await lockSecretsOfOtherKeys(tx, newest, AT_ONCE)
    for (const row of rows) {
      const bound = secretBoundTo(row.agentId, row.name, row.version)
      await resealSecret(tx, row, keyring.seal(keyring.open(row, bound), bound))
    }
    return rows.length
  })
  const credentials = await untilNone(db, async (tx) => {
    const rows = await lockCredentialsOfOtherKeys(tx, newest, AT_ONCE)
    for (const row of rows) {
      const credential = openRouterCredential(keyring, row.machineId, row)
      await resealCredential(tx, row, sealRouterCredential(keyring, row.machineId, credential))
    }
    return rows.length
  })
  const webhooks = await untilNone(db, (tx) => resealWebhooks(tx, keyring, AT_ONCE))
  const needed = await sealingKeys(db.jobs)
  return { secrets, credentials, webhooks, stillNeeded: needed.filter((id) => id !== newest) }
}

async function untilNone(
  { work }: Pick<Deps['db'], 'work'>,
  some: (tx: Sql) => Promise<number>,
): Promise<number> {
  let all = 0
  for (;;) {
    const done = await work(some)
    if (done === 0) return all
    all += done
  }
}
