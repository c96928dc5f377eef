import { type Decision, listDecisions } from './operator-decisions.ts'
import type { World } from './world.ts'

const MICROS_PER_CENT = 10_000n

interface CheckoutRow {
  id: string
  status: string
  askedMicros: bigint
  /** The payment that was not what was asked for. */
  mismatch: string | null
  amounts: bigint[]
}

/** Which entries each checkout must have, from all that the processor knows, and what operators have decided. */
export async function checkoutsAreTheProcessor(world: World): Promise<string[]> {
  const { sql, payments } = world
  const { sessions, refunds, disputes } = payments.stripeState()
  const decisions = await listDecisions(world)
  const rows = await sql<CheckoutRow[]>`
    select c.id, c.status, c.amount_micros as "askedMicros", m.payment_id as mismatch, coalesce((
      select array_agg(e.amount_micros order by e.amount_micros)
      from ledger_transactions t join ledger_entries e on e.transaction_key = t.key and e.sequence is not null
      where t.reference = c.id), '{}') as amounts
    from checkouts c left join card_mismatches m on m.checkout_id = c.id`
  const cents = (amount: number): bigint => BigInt(amount) * MICROS_PER_CENT
  const broken = rows.flatMap(({ id, status, askedMicros, mismatch, amounts }) => {
    const pages = sessions.filter((one) => one.clientReferenceId === id)
    const isAccepted = mismatch === null || decidedOn(decisions, 'creditCardPayment', mismatch)
    const paid = pages.filter(
      ({ paymentStatus, amountTotal }) =>
        paymentStatus === 'paid' && isAccepted && cents(amountTotal) === askedMicros,
    )
    const intents = new Set(paid.map(({ paymentIntentId }) => paymentIntentId))
    const expected = [
      ...paid.map(({ amountTotal }) => cents(amountTotal)),
      ...refunds
        .filter((one) => intents.has(one.paymentIntentId))
        .flatMap((one) =>
          one.status === 'failed' ? [-cents(one.amount), cents(one.amount)] : [-cents(one.amount)],
        ),
      ...disputes
        .filter((one) => intents.has(one.paymentIntentId))
        .flatMap((one) =>
          one.status === 'won' ? [-cents(one.amount), cents(one.amount)] : [-cents(one.amount)],
        ),
    ].sort((one, other) => (one < other ? -1 : 1))
    return [
      ...(pages.length <= 1 ? [] : [`${id} has ${pages.length} pages`]),
      ...(paid.length > 0 === (status === 'paid') ? [] : [`${id} is ${status}`]),
      ...(amounts.join() === expected.join() ? [] : [`${id} has entries of ${amounts}, not of ${expected}`]),
    ]
  })
  return [...broken, ...(await refundsAreDecisions(world, decisions))]
}

/** What an operator has decided to give back is given back once, and that much. */
async function refundsAreDecisions(world: World, decisions: readonly Decision[]): Promise<string[]> {
  const { sessions, refunds } = world.payments.stripeState()
  const rows = await world.sql<{ payment: string; state: string; cents: number | null }[]>`
    select payment_id as payment, state, amount_cents::float8 as cents from card_refunds`
  const whole = (payment: string): number | undefined =>
    sessions.find((one) => one.paymentIntentId === payment)?.amountTotal
  const undone = decisions
    .filter(({ act, payment }) => act === 'refundCardPayment' && !rows.some((row) => row.payment === payment))
    .map(({ payment }) => `${payment} was to be given back`)
  return [
    ...undone,
    ...rows.flatMap(({ payment, state, cents }) => {
      const made = refunds.filter((one) => one.paymentIntentId === payment).map(({ amount }) => amount)
      const isRight = state === 'made' && made.join() === String(cents ?? whole(payment))
      return isRight && decidedOn(decisions, 'refundCardPayment', payment)
        ? []
        : [`the refund of ${payment} is ${state}, and the processor has made ${made}`]
    }),
  ]
}

const decidedOn = (decisions: readonly Decision[], act: string, payment: string): boolean =>
  decisions.some((one) => one.act === act && one.payment === payment)
