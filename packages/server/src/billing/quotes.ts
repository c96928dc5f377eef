import type { Size } from '@agentctl/contract/agent-config.ts'
import type { Sql } from '../platform/db.ts'
import { balanceOf } from './balance.ts'
import { findRate } from './store.ts'

/** Micro-USD an hour. A stopped agent keeps a snapshot; a suspended one burns nothing. */
export const hourlyMicros: Readonly<Record<Size | 'stopped' | 'suspended', bigint>> = {
  nano: 10_000n,
  small: 20_000n,
  medium: 40_000n,
  large: 80_000n,
  stopped: 1_000n,
  suspended: 0n,
}

export interface Quote {
  price: { hourlyMicros: string }
  balance: { creditsMicros: string; runwaySeconds: number | null }
}

/** What a machine of this size costs, and how long the credits of the account last once the subject burns that. */
export async function quote(
  tx: Sql,
  wanted: { accountId: string; subject: string | undefined; size: Size; now: Date },
): Promise<Quote> {
  const balance = await balanceOf(tx, wanted.accountId, wanted.now)
  const replaced = wanted.subject === undefined ? 0n : await findRate(tx, wanted.subject)
  const rate = BigInt(balance.hourlyMicros) - replaced + hourlyMicros[wanted.size]
  const free = BigInt(balance.creditsMicros) - BigInt(balance.heldMicros)
  return {
    price: { hourlyMicros: String(hourlyMicros[wanted.size]) },
    balance: {
      creditsMicros: balance.creditsMicros,
      runwaySeconds: free > 0n ? Number((free * 3600n) / rate) : 0,
    },
  }
}
