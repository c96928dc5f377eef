import type { ResponseOf } from '@agentctl/contract/api.ts'
import { type UsageRange, usageOf } from '../billing/usage.ts'
import type { Deps } from '../deps.ts'
import { enterNamespace } from '../identity/access.ts'
import { listAgentNames } from './store.ts'

/** What an account was charged. Billing knows subjects only; which agents they are, and were, is known here. */
export async function showUsage(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  accountId: string,
  wanted: UsageRange,
): Promise<ResponseOf<'GET /v1/billing/usage'>> {
  return db.as({ account: accountId }, async (tx) => {
    if (wanted.namespace !== undefined)
      await enterNamespace(tx, { accountId, namespaceId: null }, wanted.namespace, 'viewer')
    const usage = await usageOf(tx, accountId, wanted, clock.now())
    const subjects = [...new Set(usage.rows.map(({ subject }) => subject))]
    const names = new Map((await listAgentNames(tx, subjects)).map(({ id, name }) => [id, name]))
    return { ...usage, rows: usage.rows.map((row) => ({ ...row, agent: names.get(row.subject) ?? null })) }
  })
}
