import { join } from 'node:path'
import { verifyLedger } from '@agentctl/contract/ledger-export.ts'
import { exportLedger } from '@agentctl/server/billing/ledger.ts'
import { openLedgerKey } from '@agentctl/server/billing/ledger-key.ts'
import { checkoutsAreTheProcessor } from './card-invariant.ts'
import { paymentsAreTheChain } from './chain-invariant.ts'
import { type Invariant, sentences } from './invariant.ts'
import { chargesAreExact } from './meter-invariant.ts'
import type { World } from './world.ts'

/** What holds of money whenever nothing is under way. */
export const moneyInvariants: Invariant[] = [
  {
    name: 'all entries together are nothing, and so are those of each transaction',
    broken: ({ sql }) =>
      sentences(sql`
      select coalesce(transaction_key, 'all') || ' sums to ' || sum(amount_micros) as broken
      from (
        select transaction_key, amount_micros from ledger_entries
        union all
        -- Of accounts that were erased.
        select record ->> 'transaction_key', (record ->> 'amount_micros')::bigint
        from retained.records where table_name = 'ledger_entries') entries
      group by rollup (transaction_key) having sum(amount_micros) <> 0
      union all
      select key || ' has no entries' from ledger_transactions t
      where amount_micros is not null
        and not exists (select from ledger_entries e where e.transaction_key = t.key)`),
  },
  {
    name: 'a balance is the sum of its entries, and what is held is the sum of the open holds',
    broken: ({ sql }) =>
      sentences(sql`
      select b.ledger_account_id || ' has ' || b.balance_micros || ' in ' || b.entry_count || ' entries, which are '
        || count(e.sequence) || ' of ' || coalesce(sum(e.amount_micros), 0) || ', and holds ' || b.held_micros as broken
      from ledger_balances b left join ledger_entries e using (ledger_account_id)
      group by b.ledger_account_id
      having b.balance_micros <> coalesce(sum(e.amount_micros), 0) or b.entry_count <> count(e.sequence)
        or b.held_micros <> (
          select coalesce(sum(h.amount_micros), 0) from ledger_holds h
          where h.ledger_account_id = b.ledger_account_id
            and not exists (select from ledger_hold_ends ended where ended.hold_key = h.key))`),
  },
  {
    name: 'nobody has spent below the floor',
    broken: ({ sql }) =>
      sentences(sql`
      select ledger_account_id || ' has ' || balance_micros || ' and holds ' || held_micros as broken
      from ledger_balances where balance_micros - held_micros < floor_micros or floor_micros > 0`),
  },
  { name: 'the chain of entries is whole', broken: chainIsWhole },
  { name: 'each payment on chain is credited once, and nothing else is', broken: paymentsAreTheChain },
  { name: 'each payment by card is credited once, less what went back', broken: checkoutsAreTheProcessor },
  { name: 'what burns is charged, exactly and once', broken: chargesAreExact },
]

/** As anybody can check it with an export. */
async function chainIsWhole({ sql, environment, account }: World): Promise<string[]> {
  const key = openLedgerKey(join(environment.DATA_DIR ?? '', 'ledger-keys.json'))
  const verdict = await verifyLedger(await exportLedger(sql, account, key, new Date()))
  return verdict.valid ? [] : [verdict.message]
}
