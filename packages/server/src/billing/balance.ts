import type { Balance } from '@agentctl/contract/billing.ts'
import type { Sql } from '../platform/db.ts'
import * as store from './store.ts'

/** Whether an account has ever had credits: who never has may be one of many that somebody made. */
export async function hasHadCredits(tx: Sql, accountId: string): Promise<boolean> {
  const head = await store.findLedgerHead(tx, accountId)
  return head !== undefined && head.entries > 0
}

/**
 * What an account has at this moment, to the second: what its entries say, less what has burnt since the last charge.
 * Runway is what is neither spent nor held, over what burns.
 */
export async function balanceOf(tx: Sql, accountId: string, now: Date): Promise<Balance> {
  const ledgerAccount = await store.findLedgerAccount(tx, accountId)
  const balance = ledgerAccount && (await store.findBalance(tx, ledgerAccount))
  if (!ledgerAccount || !balance) {
    return { creditsMicros: '0', heldMicros: '0', hourlyMicros: '0', runwaySeconds: null, suspendsAt: null }
  }
  const burn = await store.findBurn(tx, ledgerAccount, now)
  return {
    creditsMicros: String(balance.balanceMicros - burn.accruedMicros),
    heldMicros: String(balance.heldMicros),
    hourlyMicros: String(burn.hourlyMicros),
    runwaySeconds: burn.zeroAt
      ? Math.max(0, Math.floor((burn.zeroAt.getTime() - now.getTime()) / 1000))
      : null,
    suspendsAt: burn.zeroAt?.toISOString() ?? null,
  }
}
