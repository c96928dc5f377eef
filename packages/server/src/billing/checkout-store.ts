import type { Sql } from '../platform/db.ts'

export type CheckoutStatus = 'starting' | 'open' | 'processing' | 'paid' | 'expired' | 'failed'

export interface CheckoutRow {
  id: string
  ledgerAccount: string
  amountMicros: bigint
  status: CheckoutStatus
  sessionId: string | null
  paymentId: string | null
  url: string | null
  createdAt: Date
  expiresAt: Date
}

const columns = (tx: Sql) => tx`
  id, ledger_account_id as "ledgerAccount", amount_micros as "amountMicros", status, session_id as "sessionId",
  payment_id as "paymentId", url, created_at as "createdAt", expires_at as "expiresAt"`

/** The checkout of this key, made now or before. */
export async function makeCheckout(
  tx: Sql,
  wanted: {
    id: string
    ledgerAccount: string
    requestKey: string
    amountMicros: bigint
    now: Date
    expiresAt: Date
  },
): Promise<{ checkout: CheckoutRow; made: boolean }> {
  const [made] = await tx<CheckoutRow[]>`
    insert into checkouts (id, ledger_account_id, request_key, amount_micros, created_at, expires_at)
    values (${wanted.id}, ${wanted.ledgerAccount}, ${wanted.requestKey}, ${wanted.amountMicros}, ${wanted.now},
      ${wanted.expiresAt})
    on conflict (ledger_account_id, request_key) do nothing
    returning ${columns(tx)}`
  if (made) return { checkout: made, made: true }
  const [known] = await tx<CheckoutRow[]>`
    select ${columns(tx)} from checkouts
    where ledger_account_id = ${wanted.ledgerAccount} and request_key = ${wanted.requestKey}`
  if (!known) throw new Error('The database neither made nor found a checkout.')
  return { checkout: known, made: false }
}

export async function countOpenCheckouts(tx: Sql, ledgerAccount: string): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from checkouts
    where ledger_account_id = ${ledgerAccount} and status in ('starting', 'open')`
  return row?.count ?? 0
}

export async function findCheckout(tx: Sql, id: string): Promise<CheckoutRow | undefined> {
  const [row] = await tx<CheckoutRow[]>`select ${columns(tx)} from checkouts where id = ${id}`
  return row
}

export async function lockCheckout(tx: Sql, id: string): Promise<CheckoutRow | undefined> {
  const [row] = await tx<CheckoutRow[]>`select ${columns(tx)} from checkouts where id = ${id} for update`
  return row
}

/** The page is there. A word of the processor may have come before its answer: then only the address is new. */
export async function openCheckout(
  tx: Sql,
  id: string,
  page: { sessionId: string; url: string },
): Promise<CheckoutRow | undefined> {
  const [row] = await tx<CheckoutRow[]>`
    update checkouts set session_id = ${page.sessionId}, url = ${page.url},
      status = case when status = 'starting' then 'open' else status end
    where id = ${id}
    returning ${columns(tx)}`
  return row
}

export async function updateCheckout(
  tx: Sql,
  id: string,
  change: { status: CheckoutStatus; sessionId: string | null; paymentId: string | null; paidAt: Date | null },
): Promise<void> {
  await tx`
    update checkouts set status = ${change.status}, session_id = ${change.sessionId},
      payment_id = ${change.paymentId}, paid_at = coalesce(paid_at, ${change.paidAt})
    where id = ${id}`
}

export interface CardEventRow {
  sessionId: string | null
  paymentId: string | null
}

/** False when it was told before. */
export async function insertCardEvent(
  tx: Sql,
  event: { id: string; sessionId: string | null; paymentId: string | null; now: Date },
): Promise<boolean> {
  const rows = await tx`
    insert into card_events (id, session_id, payment_id, received_at)
    values (${event.id}, ${event.sessionId}, ${event.paymentId}, ${event.now})
    on conflict (id) do nothing
    returning id`
  return rows.length > 0
}

export async function findCardEvent(tx: Sql, id: string): Promise<CardEventRow | undefined> {
  const [row] = await tx<CardEventRow[]>`
    select session_id as "sessionId", payment_id as "paymentId" from card_events where id = ${id}`
  return row
}
