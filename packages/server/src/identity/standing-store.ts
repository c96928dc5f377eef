import type { StandingState } from '@agentctl/contract/operators.ts'
import type { Sql } from '../platform/db.ts'

/** What operators have decided about an account. Micro-USD; null for no cap. */
export interface StandingRow {
  state: StandingState
  reason: string
  since: Date
  machinesMax: number | null
  hourlyMaxMicros: bigint | null
  monthlyMaxMicros: bigint | null
}

export async function findStanding(tx: Sql, accountId: string): Promise<StandingRow | undefined> {
  const [row] = await tx<StandingRow[]>`
    select state, reason, since, machines_max as "machinesMax", hourly_max_micros as "hourlyMaxMicros",
      monthly_max_micros as "monthlyMaxMicros"
    from account_standings where account_id = ${accountId}`
  return row
}

/** False when it was that already. */
export async function setState(
  tx: Sql,
  accountId: string,
  { state, reason, now }: { state: StandingState; reason: string; now: Date },
): Promise<boolean> {
  const rows = await tx`
    insert into account_standings as s (account_id, state, reason, since)
    values (${accountId}, ${state}, ${reason}, ${now})
    on conflict (account_id) do update set state = excluded.state, reason = excluded.reason, since = excluded.since
      where s.state <> excluded.state
    returning 1`
  return rows.length > 0
}

export async function setCaps(
  tx: Sql,
  accountId: string,
  caps: Pick<StandingRow, 'machinesMax' | 'hourlyMaxMicros' | 'monthlyMaxMicros' | 'reason'> & { now: Date },
): Promise<void> {
  const { machinesMax, hourlyMaxMicros, monthlyMaxMicros } = caps
  await tx`
    insert into account_standings (account_id, reason, since, machines_max, hourly_max_micros, monthly_max_micros)
    values (${accountId}, ${caps.reason}, ${caps.now}, ${machinesMax}, ${hourlyMaxMicros}, ${monthlyMaxMicros})
    on conflict (account_id) do update set machines_max = excluded.machines_max,
      hourly_max_micros = excluded.hourly_max_micros, monthly_max_micros = excluded.monthly_max_micros`
}

export function listHeld(tx: Sql): Promise<{ accountId: string; state: 'suspended' | 'banned' }[]> {
  return tx<{ accountId: string; state: 'suspended' | 'banned' }[]>`
    select account_id as "accountId", state from account_standings where state <> 'good'`
}

export function listMonthlyCapped(tx: Sql): Promise<{ accountId: string; monthlyMaxMicros: bigint }[]> {
  return tx<{ accountId: string; monthlyMaxMicros: bigint }[]>`
    select account_id as "accountId", monthly_max_micros as "monthlyMaxMicros" from account_standings
    where monthly_max_micros is not null`
}

export async function endAccess(tx: Sql, accountId: string, now: Date): Promise<void> {
  await tx`select end_access(${accountId}, ${now})`
}

export async function listPhoneHmacs(tx: Sql, accountId: string): Promise<Buffer[]> {
  const rows = await tx<
    { hmac: Buffer }[]
  >`select phone_hmac as hmac from phones where account_id = ${accountId}`
  return rows.map(({ hmac }) => hmac)
}

/** A year is counted anew. */
export async function insertBans(tx: Sql, hashes: readonly Buffer[], now: Date): Promise<void> {
  for (const hash of hashes) {
    await tx`
      insert into banned_proofs (proof_hash, banned_at) values (${hash}, ${now})
      on conflict (proof_hash) do update set banned_at = excluded.banned_at`
  }
}

export async function deleteBans(tx: Sql, hashes: readonly Buffer[]): Promise<void> {
  await tx`delete from banned_proofs where proof_hash = any(${tx.array([...hashes])})`
}

/** Looked for one by one: the database shows a row to whoever presents its hash. */
export async function isBanned(tx: Sql, hashes: readonly Buffer[]): Promise<boolean> {
  for (const hash of hashes) {
    await tx`select set_config('app.presented', ${hash.toString('hex')}, true)`
    const rows = await tx`select 1 from banned_proofs where proof_hash = ${hash}`
    if (rows.length > 0) return true
  }
  return false
}
