import { ledgerAccountOf, post } from '@agentctl/server/billing/ledger.ts'
import { logIn } from '@agentctl/server/identity/accounts.ts'
import { systemClock } from '@agentctl/server/platform/clock.ts'
import { openDb } from '@agentctl/server/platform/db.ts'
import { policyDayAt } from '@agentctl/server/privacy/policy-versions.ts'

/** More than any run of this suite burns. */
const CREDITS_MICROS = 1_000_000_000n

/** Somebody new who has proved a wallet, another one for each serial, and has credits as a deposit posts them. */
export async function signUp(databaseUrl: string, serial = 1): Promise<{ account: string; token: string }> {
  const login = { url: databaseUrl, assume: true }
  const db = openDb({ app: login, jobs: login, operator: undefined, connectionsMax: 1 })
  try {
    // Only phones are kept with a pepper.
    const pepper = { version: 1, versions: [1], hmac: () => Buffer.alloc(32) }
    const proof = { method: 'wallet', address: `0x${String(serial).padStart(40, '0')}` } as const
    const outcome = await logIn({ db, clock: systemClock, pepper, policyDayAt }, proof, { acceptTerms: true })
    if (outcome.status !== 'logged_in') throw new Error('Nobody is logged in.')
    const now = systemClock.now()
    await db.work(async (tx) => {
      const ledgerAccount = await ledgerAccountOf(tx, outcome.accountId, now)
      await post(tx, {
        key: `crash:of-account:${serial}`,
        kind: 'deposit',
        reference: 'crash',
        ledgerAccount,
        amountMicros: CREDITS_MICROS,
        against: 'sys_treasury',
        at: now,
      })
    })
    return { account: outcome.accountId, token: outcome.token.reveal() }
  } finally {
    await db.close()
  }
}
