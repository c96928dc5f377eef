import type { FoundAccount, RightsRequest } from '@agentctl/contract/operators.ts'
import { showWarmMachines } from '../agents/warm-view.ts'
import { creditCardPayment, listCardPayments, refundCardPayment } from '../billing/card-review.ts'
import {
  listForOperator,
  lookAtReturn,
  refundPayment,
  resolveReturned,
  resolveTo,
} from '../billing/unclaimed-payments.ts'
import type { Deps } from '../deps.ts'
import type { Api } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { findFor, requireAccount } from './accounts.ts'
import { enact } from './acts.ts'
import { answerRequest, listRequests, noteRequest } from './rights-requests.ts'
import { capAccount, creditAccount, setStanding, tellOfRefund } from './standings.ts'
import * as store from './store.ts'

/** Trying again mends what is only slow or away for a moment; after so many times somebody should look. */
const STUCK_ATTEMPTS = 5
const LISTED = 200

export function operatorRoutes(
  api: Api,
  deps: Pick<Deps, 'config' | 'db' | 'clock' | 'pepper' | 'transfers' | 'cards'>,
): void {
  const { config } = deps

  api.on('POST /v1/operator/accounts/find', ({ caller, body }) =>
    enact(deps, { ...caller, act: 'findAccount', subject: ({ id }: FoundAccount) => id }, (tx) =>
      findFor(deps, tx, body),
    ),
  )
  const about = (subject: string, reason: string) => ({ subject, reason })
  api.on('POST /v1/operator/accounts/:account/standing', ({ caller, params: { account }, body }) =>
    enact(
      deps,
      { ...caller, act: 'setStanding', ...about(`${account}>${body.state}`, body.reason) },
      (tx, now) => setStanding(deps, tx, { account, ...body, now }),
    ),
  )
  api.on('POST /v1/operator/accounts/:account/caps', ({ caller, params: { account }, body }) => {
    const { reason, ...caps } = body
    return enact(deps, { ...caller, act: 'capAccount', ...about(account, reason) }, (tx, now) =>
      capAccount(deps, tx, { account, caps, reason, now }),
    )
  })
  api.on('POST /v1/operator/accounts/:account/credits', ({ caller, params: { account }, body }) => {
    const { id, reason } = body
    return enact(deps, { ...caller, act: 'creditAccount', ...about(`${account}>${id}`, reason) }, (tx, now) =>
      creditAccount(deps, tx, { account, id, amountMicros: BigInt(body.amountMicros), reason, now }),
    )
  })
  api.on('POST /v1/operator/operations/:operation/retry', ({ caller, params: { operation }, body }) =>
    enact(deps, { ...caller, act: 'retryOperation', ...about(operation, body.reason) }, async (tx) => {
      const retried = await store.retryOperation(tx, operation)
      if (retried) return retried
      throw new Problem('not_found', 'There is no such work that waits.', {
        fix: 'See: agentctl operator operations',
      })
    }),
  )
  api.on('GET /v1/operator/payments', ({ caller, query }) =>
    enact(deps, { ...caller, act: 'listPayments', subject: query.account ?? '' }, async (tx) => ({
      payments: await listForOperator(tx, config, query.account),
    })),
  )
  api.on('POST /v1/operator/payments/:payment/resolve', async ({ caller, params: { payment }, body }) => {
    if ('account' in body) {
      const act = { ...caller, act: 'resolvePayment', subject: `${payment}>${body.account}` }
      return enact(deps, act, async (tx, now) => {
        await requireAccount(tx, body.account)
        return resolveTo(tx, config, { payment, accountId: body.account, now })
      })
    }
    const act = { ...caller, act: 'resolvePayment', subject: `${payment}>${body.returnedBy}` }
    const sent = await lookAtReturn(deps, { payment, returnedBy: body.returnedBy })
    return enact(deps, act, (tx, now) => resolveReturned(tx, config, { payment, sent, now }))
  })
  api.on('POST /v1/operator/payments/:payment/refund', ({ caller, params: { payment }, body: { reason } }) =>
    enact(deps, { ...caller, act: 'refundPayment', ...about(payment, reason) }, async (tx, now) => {
      const taken = await refundPayment(tx, config, { payment, now })
      await tellOfRefund(tx, taken, reason, now)
      return taken
    }),
  )
  api.on('GET /v1/operator/card-payments', ({ caller, query }) =>
    enact(deps, { ...caller, act: 'listCardPayments', subject: query.account ?? '' }, async (tx) => ({
      payments: await listCardPayments(tx, query.account),
    })),
  )
  api.on('POST /v1/operator/card-payments/:payment/credit', ({ caller, params: { payment } }) =>
    enact(deps, { ...caller, act: 'creditCardPayment', subject: payment }, (tx, now) =>
      creditCardPayment(tx, deps, { payment, now }),
    ),
  )
  api.on('POST /v1/operator/card-payments/:payment/refund', ({ caller, params: { payment }, body }) =>
    enact(deps, { ...caller, act: 'refundCardPayment', ...about(payment, body.reason) }, async (tx, now) => {
      const given = await refundCardPayment(tx, deps, { payment, amountMicros: body.amountMicros, now })
      await tellOfRefund(tx, given, body.reason, now)
      return given
    }),
  )
  api.on('GET /v1/operator/warm-machines', ({ caller }) =>
    enact(deps, { ...caller, act: 'showWarmMachines', subject: '' }, (tx, now) =>
      showWarmMachines(deps, tx, now),
    ),
  )
  api.on('GET /v1/operator/rights-requests', ({ caller, query }) =>
    enact(deps, { ...caller, act: 'listRightsRequests', subject: '' }, (tx, now) =>
      listRequests(tx, query.all === 'true', now),
    ),
  )
  api.on('POST /v1/operator/rights-requests', ({ caller, body }) =>
    enact(
      deps,
      { ...caller, act: 'noteRightsRequest', subject: ({ id }: RightsRequest) => id },
      async (tx, now) => {
        if (body.account !== undefined) await requireAccount(tx, body.account)
        return noteRequest(tx, body, now)
      },
    ),
  )
  api.on('POST /v1/operator/rights-requests/:request/answer', ({ caller, params: { request }, body }) =>
    enact(deps, { ...caller, act: 'answerRightsRequest', subject: request }, (tx, now) =>
      answerRequest(tx, { id: request, outcome: body.outcome, now }),
    ),
  )
  api.on('GET /v1/operator/operations', ({ caller }) =>
    enact(deps, { ...caller, act: 'listStuckOperations', subject: '' }, async (tx) => {
      const operations = await store.listStuck(tx, STUCK_ATTEMPTS, LISTED)
      return { operations: operations.map((one) => ({ ...one, createdAt: one.createdAt.toISOString() })) }
    }),
  )
  api.on('GET /v1/operator/acts', ({ caller }) =>
    enact(deps, { ...caller, act: 'listActs', subject: '' }, async (tx) => {
      const acts = await store.listActs(tx, LISTED)
      return { acts: acts.map((one) => ({ ...one, at: one.at.toISOString() })) }
    }),
  )
}
