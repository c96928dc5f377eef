import type { Sql } from '../platform/db.ts'
import { purgedUntil } from '../platform/purges.ts'
import { retention } from '../platform/retention.ts'

/** A request as it is kept: these fields and no others. The hash is in hex. */
export interface RequestRow {
  at: Date
  requestId: string
  route: string
  status: number
  durationMs: number
  accountId: string | null
  credentialId: string | null
  networkHash: string
}

/** What operators are shown of a request. */
export type ShownRequest = Omit<RequestRow, 'accountId' | 'networkHash'>

/**
 * One statement for all of them: they are all written or none is. Refused as not unique when they are there already. A
 * request of an account that has been erased meanwhile is nobody's.
 */
export async function insertRequests(tx: Sql, rows: readonly RequestRow[]): Promise<void> {
  const accounts = [...new Set(rows.flatMap(({ accountId }) => accountId ?? []))]
  // As one text: an array for each column costs this server twice as much to put together, and so do written dates.
  const fresh = rows.map((row) => ({ ...row, at: row.at.getTime() }))
  await tx`
    with known as materialized (select known_accounts(${accounts}::text[]) as id)
    insert into request_log
      (at, request_id, route, status, duration_ms, account_id, credential_id, network_hash)
    select to_timestamp(at / 1000), "requestId", route, status, "durationMs", known.id,
      case when "accountId" is null or known.id is not null then "credentialId" end,
      decode("networkHash", 'hex')
    from json_to_recordset(${JSON.stringify(fresh)}::text::json) as fresh (
      at float8, "requestId" text, route text, status smallint, "durationMs" int, "accountId" text,
      "credentialId" text, "networkHash" text)
    left join known on known.id = "accountId"`
}

/** The newest first, as operators are shown them; nothing that is older than 90 days. */
export function listRequestsOf(
  tx: Sql,
  accountId: string,
  { now, limit }: { now: Date; limit: number },
): Promise<ShownRequest[]> {
  return tx<ShownRequest[]>`
    select at, request_id as "requestId", route, status, duration_ms as "durationMs",
      credential_id as "credentialId"
    from request_log where account_id = ${accountId} and at > ${purgedUntil(retention.requestLog, now)}
    order by at desc limit ${limit}`
}

/** Makes the days of UTC from one moment to another, as far as they are missing. */
export async function prepareDays(tx: Sql, first: Date, last: Date): Promise<void> {
  await tx`select prepare_request_days(${dayOf(first)}::date, ${dayOf(last)}::date)`
}

/** Drops days that began by then, whole. Returns how many. */
export async function dropDays(tx: Sql, begunUntil: Date): Promise<number> {
  const [row] = await tx<{ days: number }[]>`select drop_request_days(${begunUntil}) as days`
  return row?.days ?? 0
}

/** When the oldest day that is still there began. */
export async function oldestDay(tx: Sql): Promise<Date | null> {
  const [row] = await tx<{ day: Date | null }[]>`select oldest_request_day() as day`
  return row?.day ?? null
}

const dayOf = (at: Date): string => at.toISOString().slice(0, 10)
