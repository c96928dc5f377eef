import type { Sql } from '../platform/db.ts'
import { ledgerAccountOf } from './ledger.ts'
import * as store from './store.ts'

/**
 * From this moment on the subject burns this rate, on the account that pays; zero: nothing. Level-triggered: told the
 * same again, it changes nothing. Fractions of a second are the customer's.
 */
export async function setRate(
  tx: Sql,
  meter: { subject: string; accountId: string; namespaceId: string; hourlyMicros: bigint; at: Date },
): Promise<boolean> {
  const ledgerAccount = await ledgerAccountOf(tx, meter.accountId, meter.at)
  return store.setMeter(tx, { ...meter, ledgerAccount })
}

/** Charges everything that burns up to a moment; false when that was done before. */
export function chargeMeters(tx: Sql, upto: Date): Promise<boolean> {
  return store.runMeters(tx, upto)
}

/** Accounts whose credits did not suffice at the last run, the longest waiting first. */
export function listDepleted(tx: Sql, limit: number): Promise<{ accountId: string; depletedAt: Date }[]> {
  return store.listDepleted(tx, limit)
}
