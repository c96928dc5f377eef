import { RECEIPT_FORMAT, receiptText } from '@agentctl/contract/erasure-receipt.ts'
import type { Erasure } from '@agentctl/contract/privacy.ts'
import type { LedgerKey } from '../billing/ledger-key.ts'
import type { Deps } from '../deps.ts'
import { requireRecentLogin } from '../identity/access.ts'
import { notify } from '../identity/notices.ts'
import type { Caller } from '../platform/http.ts'
import { startOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import { tokenHash } from '../platform/tokens.ts'
import { ERASURE_KIND } from './erasure-kind.ts'
import { blockersOf, isHandedOver } from './erasure-plan.ts'
import { findMoney, listPlannedNamespaces, setPayer } from './erasure-plan-store.ts'
import * as store from './erasure-store.ts'

type Parts = Pick<Deps, 'db' | 'clock'>

/**
 * Policy 7c. In one transaction: every way to act for the account ends, and the work begins that takes away what it has.
 * Asked again with the same id and token it is the same erasure.
 */
export async function startErasure(
  deps: Parts,
  caller: Caller,
  { id, token, forfeit = false }: { id: string; token: string; forfeit?: boolean | undefined },
  key: LedgerKey,
): Promise<Erasure> {
  const { db, clock } = deps
  const now = clock.now()
  requireRecentLogin(caller, now)
  const { accountId } = caller
  await db.work(async (tx) => {
    const begun = await store.beginErasure(tx, { id, tokenHash: tokenHash(token), accountId, now })
    if (begun === undefined) {
      throw new Problem('conflict', 'This id is taken, or the account is gone.', {
        fix: 'Ask for the receipt of the erasure, or start one with a new id.',
      })
    }
    const isOurs = begun === id && (await store.findErasureByToken(tx, id, tokenHash(token))) !== undefined
    if (!isOurs) {
      throw new Problem('conflict', `The account is being deleted already: ${begun}.`, {
        fix: 'Whoever asked for it has the token that shows how far it is.',
      })
    }
    if (await store.isUnderWay(tx, id)) return
    // Under the lock of the account, so that what is in order stays so.
    const money = await findMoney(tx, accountId)
    const namespaces = await listPlannedNamespaces(tx, accountId)
    const [blocker] = blockersOf(money, namespaces)
    if (blocker) throw new Problem('erasure_blocked', blocker.message, { fix: blocker.fix })
    if (money.balanceMicros > 0n && !forfeit) {
      throw new Problem('credits_left', `Credits of ${money.balanceMicros} micro-USD are left.`)
    }
    for (const namespace of namespaces) {
      if (isHandedOver(namespace) && namespace.nextOwner !== null) {
        await setPayer(tx, namespace.id, namespace.nextOwner)
        await notify(tx, {
          accountId: namespace.nextOwner,
          kind: 'namespace_handed_over',
          message: `The namespace ${namespace.name} is yours now: its owner has left. What runs in it from now on is paid by you.`,
          next: `agentctl members list -n ${namespace.name}`,
          now,
        })
      }
    }
    await store.closeAccount(tx, id)
    await startOperation(tx, { kind: ERASURE_KIND, subject: id, namespaceId: null, now })
  })
  return showErasure(deps, { id, token }, key)
}

/** How far an erasure is; for whoever has its token, and to everybody else as if there was none. */
export async function showErasure(
  { db }: Pick<Deps, 'db'>,
  { id, token }: { id: string; token: string },
  key: LedgerKey,
): Promise<Erasure> {
  const hash = tokenHash(token)
  const found = await db.as({ account: null, presented: hash.toString('hex') }, (tx) =>
    store.findErasureByToken(tx, id, hash),
  )
  if (!found) {
    throw new Problem('not_found', 'There is no such erasure.', { fix: 'Check its id and its token.' })
  }
  const { requestedAt, facts } = found
  return {
    id,
    status: facts === null ? 'running' : 'done',
    requestedAt: requestedAt.toISOString(),
    receipt: facts === null ? null : signed(facts, key),
  }
}

/** Signed when it is shown: the work that erases need not have the key. */
function signed(
  facts: store.ErasureFacts,
  { keyId, publicKey, sign }: LedgerKey,
): NonNullable<Erasure['receipt']> {
  const unsigned = { format: RECEIPT_FORMAT, ...facts, keyId } as const
  return { ...unsigned, publicKey, signature: sign(receiptText(unsigned)) }
}
