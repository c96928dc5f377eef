import { createHash } from 'node:crypto'
import type { RouteOf } from '@agentctl/contract/api.ts'
import type { Sql } from './db.ts'
import { Problem } from './problem.ts'

/**
 * Runs once for each key of an account: the answer is stored in the transaction of the work itself, and a repeated
 * request gets that answer. What ended in a refusal stored nothing and may be tried again.
 */
export async function onceForKey<T extends object>(
  tx: Sql,
  asked: { accountId: string; key: string; route: RouteOf; request: unknown; now: Date },
  run: () => Promise<T>,
): Promise<T> {
  const { accountId, key, now } = asked
  const requestHash = createHash('sha256')
    .update(JSON.stringify([asked.route, asked.request]))
    .digest()
  // Taken without waiting: whoever repeats a request that is still under way is told so at once.
  const [lock] = await tx<{ held: boolean }[]>`
    select pg_try_advisory_xact_lock(hashtextextended(${`${accountId} ${key}`}, 4207718)) as held`
  if (!lock?.held) throw new Problem('idempotency_in_flight')
  const [known] = await tx<{ requestHash: Buffer; response: T }[]>`
    select request_hash as "requestHash", response from idempotency_keys
    where account_id = ${accountId} and key = ${key}`
  if (known) {
    if (!known.requestHash.equals(requestHash)) throw new Problem('idempotency_mismatch')
    return known.response
  }
  const answer = await run()
  await tx`
    insert into idempotency_keys (account_id, key, request_hash, response, created_at)
    values (${accountId}, ${key}, ${requestHash}, ${tx.json(answer as never)}, ${now})`
  return answer
}
