import type { ResponseOf } from '@agentctl/contract/api.ts'
import type { LedgerEntry } from '@agentctl/contract/ledger-export.ts'
import type { Sql } from '../platform/db.ts'
import { Problem } from '../platform/problem.ts'
import * as store from './store.ts'

type Page = ResponseOf<'GET /v1/billing/history'>

const PAGE = 100

/** A page of an account's entries, newest first; the cursor is the place where the next one begins. */
export async function historyPage(
  tx: Sql,
  accountId: string,
  wanted: {
    since?: string | undefined
    until?: string | undefined
    kind?: string | undefined
    limit?: number | undefined
    cursor?: string | undefined
  },
): Promise<Page> {
  const { cursor, limit = PAGE } = wanted
  if (cursor !== undefined && !/^\d{1,9}$/.test(cursor)) {
    throw new Problem('invalid_request', 'query.cursor: take it from the answer before')
  }
  const ledgerAccount = await store.findLedgerAccount(tx, accountId)
  if (!ledgerAccount) return { entries: [], nextCursor: null }
  const entries = await store.listHistory(tx, ledgerAccount, {
    since: wanted.since ?? null,
    until: wanted.until ?? null,
    kind: wanted.kind ?? null,
    before: cursor === undefined ? null : Number(cursor),
    limit: limit + 1,
  })
  const page = entries.slice(0, limit)
  const last = page.at(-1)
  return {
    entries: page.map((entry) => ({
      id: entry.transaction,
      at: entry.at,
      kind: entry.kind,
      description: describe(entry),
      reference: entry.reference,
      amountMicros: entry.amountMicros,
      balanceMicros: entry.balanceMicros,
    })),
    nextCursor: entries.length > limit && last ? String(last.sequence) : null,
  }
}

function describe({ kind, reference, amountMicros }: LedgerEntry): string {
  if (kind === 'charge') {
    const [since = '', until] = reference.split('/')
    return until ? `Agents for ${span(since, until)}` : `Charge ${reference}`.trim()
  }
  if (kind === 'deposit') return `Deposit ${reference}`.trim()
  // What a bank or a chain takes back may come back once more.
  if (kind === 'reversal')
    return `${amountMicros.startsWith('-') ? 'Taken back' : 'Given back'}: ${reference}`.trim()
  return `Refund ${reference}`.trim()
}

const UNITS = [
  ['days', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const

/** A length of time in the two largest units that it has: "14 days 1 h", "35 min 9 s". When it ended stands beside it. */
function span(since: string, until: string): string {
  let left = Math.round((Date.parse(until) - Date.parse(since)) / 1000)
  const largest = UNITS.findIndex(([, seconds]) => left >= seconds)
  if (largest === -1) return '0 s'
  const parts = UNITS.slice(largest, largest + 2).map(([unit, seconds]) => {
    const count = Math.floor(left / seconds)
    left -= count * seconds
    return count === 0 ? '' : `${count} ${count === 1 && unit === 'days' ? 'day' : unit}`
  })
  return parts.filter((part) => part !== '').join(' ')
}
