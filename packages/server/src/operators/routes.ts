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
import { findFor, requireAccount } from './accounts.ts'
import { enact } from './acts.ts'
import { answerRequest, listRequests, noteRequest } from './rights-requests.ts'
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
  api.on('POST /v1/operator/payments/:payment/refund', ({ caller, params: { payment } }) =>
    enact(deps, { ...caller, act: 'refundPayment', subject: payment }, (tx, now) =>
      refundPayment(tx, config, { payment, now }),
    ),
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
    enact(deps, { ...caller, act: 'refundCardPayment', subject: payment }, (tx, now) =>
      refundCardPayment(tx, deps, { payment, amountMicros: body.amountMicros, now }),
    ),
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
