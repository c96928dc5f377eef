import type { FoundAccount } from '@agentctl/contract/operators.ts'
import type { Deps } from '../deps.ts'
import { findAccountOf } from '../identity/accounts.ts'
import { hashPhone } from '../identity/phone-login.ts'
import { type Standing, standingOf } from '../identity/standing.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import { readPhone } from '../providers/sms/phone.ts'
import * as store from './store.ts'

export type Wanted = { phone: string } | { wallet: string } | { account: string }

/** The account of a phone, a wallet or an id. What is typed in is not kept, and of a phone there is only its hash. */
export async function findFor(deps: Pick<Deps, 'pepper'>, tx: Sql, wanted: Wanted): Promise<FoundAccount> {
  const id = await idOf(deps, tx, wanted)
  const row = id === undefined ? undefined : await store.findAccount(tx, id)
  return shown(row, row && (await standingOf(tx, row.id)))
}

/** Refuses what is no account, before anything is booked for it. */
export async function requireAccount(tx: Sql, id: string): Promise<void> {
  shown(await store.findAccount(tx, id), undefined)
}

async function idOf(deps: Pick<Deps, 'pepper'>, tx: Sql, wanted: Wanted): Promise<string | undefined> {
  if ('account' in wanted) return wanted.account
  if ('wallet' in wanted) return findAccountOf(tx, { method: 'wallet', address: wanted.wallet.toLowerCase() })
  return findAccountOf(tx, { method: 'phone', phone: hashPhone(deps, readPhone(wanted.phone)) })
}

function shown(row: store.AccountRow | undefined, standing: Standing | undefined): FoundAccount {
  if (!row) throw new Problem('not_found', 'There is no such account.', { fix: 'Check what you typed in.' })
  return {
    id: row.id,
    createdAt: row.createdAt.toISOString(),
    creditsMicros: String(row.creditsMicros),
    loginMethods: [
      ...(row.hasPhone ? ['phone' as const] : []),
      ...(row.hasWallet ? ['wallet' as const] : []),
    ],
    standing: standing
      ? {
          ...standing,
          since: standing.since.toISOString(),
          hourlyMaxMicros: standing.hourlyMaxMicros === null ? null : String(standing.hourlyMaxMicros),
          monthlyMaxMicros: standing.monthlyMaxMicros === null ? null : String(standing.monthlyMaxMicros),
        }
      : null,
  }
}
