import type { Sql } from '../platform/db.ts'

export async function addSend(tx: Sql, country: string, at: Date): Promise<void> {
  await tx`
    insert into sms_counts as c (country, at, sent) values (${country}, ${at}, 1)
    on conflict (at, country) do update set sent = c.sent + 1`
}

export async function removeSend(tx: Sql, country: string, at: Date): Promise<void> {
  await tx`update sms_counts set sent = greatest(sent - 1, 0) where country = ${country} and at = ${at}`
}

export async function addConversion(tx: Sql, country: string, at: Date): Promise<void> {
  await tx`update sms_counts set converted = converted + 1 where country = ${country} and at = ${at}`
}

/** Of all countries. */
export async function sumSends(tx: Sql, after: Date): Promise<number> {
  const [row] = await tx<{ sent: number }[]>`
    select coalesce(sum(sent), 0)::int as sent from sms_counts where at > ${after}`
  return row?.sent ?? 0
}

export async function sumCounts(
  tx: Sql,
  country: string,
  within: { after: Date; until: Date },
): Promise<{ sent: number; converted: number }> {
  const [row] = await tx<{ sent: number; converted: number }[]>`
    select coalesce(sum(sent), 0)::int as sent, coalesce(sum(converted), 0)::int as converted from sms_counts
    where country = ${country} and at > ${within.after} and at <= ${within.until}`
  return row ?? { sent: 0, converted: 0 }
}
