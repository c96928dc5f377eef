import { randomUUID } from 'node:crypto'
import type { Checkout } from '@agentctl/contract/billing.ts'
import { openBrowser } from '../browser.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { dollars, plainDollars } from '../money.ts'
import { printable } from '../output.ts'
import { waitUntilSettled } from './state-wait.ts'

const DEFAULT_WAIT_SECONDS = 40 * 60

/** Opens the payment processor's own page, where the card is given, and waits until it is paid. */
export async function payByCard(
  ctx: Context,
  {
    amountMicros,
    wait,
    timeoutSeconds = DEFAULT_WAIT_SECONDS,
  }: { amountMicros: string; wait: boolean; timeoutSeconds: number | undefined },
): Promise<void> {
  const checkout = await ctx.api('POST /v1/billing/checkouts', {
    body: { amountMicros },
    idempotencyKey: randomUUID(),
  })
  const url = printable(checkout.url)
  if (!wait) {
    ctx.out.result(checkout, url)
    return
  }
  ctx.out.notice(`Pay ${dollars(amountMicros)} by card here:\n${url}`)
  if (ctx.watched) openBrowser(checkout.url)
  const settled = await waitUntilSettled<Checkout>(ctx, {
    first: checkout,
    subject: 'The payment by card',
    timeoutSeconds,
    goesOn: ({ status }) => status === 'open' || status === 'processing',
    ask: ({ id, status }, waitSeconds) =>
      ctx.api('GET /v1/billing/checkouts/:checkout', {
        params: { checkout: id },
        query: { waitSeconds, status },
        timeoutSeconds: waitSeconds + 15,
      }),
    tells: ({ status }) => (status === 'open' ? 'Waiting for the card' : 'The bank has not said yet'),
    // What is paid later is credited without anybody waiting.
    resume: 'agentctl billing history',
    document: (now) => now,
  })
  if (settled.status !== 'paid') {
    const why = settled.status === 'expired' ? 'the page expired before it was paid' : 'the payment failed'
    throw new Failure('deposit_rejected', `Nothing was credited: ${why}`, {
      fix: `Try again: agentctl billing deposit --card ${plainDollars(amountMicros).replace(/\.?0+$/, '')}`,
      document: settled,
    })
  }
  ctx.out.result(settled, `Credited ${dollars(settled.creditsMicros ?? settled.amountMicros)}, paid by card.`)
}
