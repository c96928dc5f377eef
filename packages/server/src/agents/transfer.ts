import type { Agent } from '@agentctl/contract/agents.ts'
import type { Sql } from '../platform/db.ts'
import { listTransfers, type TransferRow } from './transfer-store.ts'

/** What the provider asks for a GB beyond what is included. It is not passed on: nothing of it is charged to anybody. */
export const OVERAGE_MICROS_PER_GB = 10_000n
export const GB = 1_000_000_000n

/** What agents have sent in a month, and what of it their size does not include; absent for one without a machine. */
export async function transfersOf(
  sql: Sql,
  month: Date,
  agentIds: readonly string[],
): Promise<Map<string, NonNullable<Agent['transfer']>>> {
  const rows = await listTransfers(sql, month, agentIds)
  return new Map(
    rows.map((row) => [
      row.agentId,
      {
        month: month.toISOString().slice(0, 7),
        sentBytes: Number(row.sentBytes),
        includedBytes: Number(row.includedBytes),
        overageMicros: String(overageMicros(row)),
      },
    ]),
  )
}

/** The price of what is beyond, by begun GB. */
export function overageMicros({
  sentBytes,
  includedBytes,
}: Pick<TransferRow, 'sentBytes' | 'includedBytes'>): bigint {
  const beyond = sentBytes - includedBytes
  return beyond <= 0n ? 0n : ((beyond + GB - 1n) / GB) * OVERAGE_MICROS_PER_GB
}
