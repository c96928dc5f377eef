import { Hono } from 'hono'
import { html } from 'hono/html'
import type { Payments, PaymentTry } from './payments.ts'
import { Refused } from './stripe-error.ts'
import type { Session } from './stripe-state.ts'

const TRIES: Record<string, PaymentTry> = { pay: 'card', decline: 'declined card', bank: 'bank' }

/** The page that a session's `url` shows. Nobody types a card number here: one button pays, one is declined. */
export function checkoutPage(payments: Payments): Hono {
  const app = new Hono()

  app.get('/c/pay/:id', (c) => {
    payments.expireDue()
    const session = payments.findSession(c.req.param('id'))
    if (!session) return c.html(page('Not found', html`<p>There is no such payment.</p>`), 404)
    return show(session)
  })

  app.post('/c/pay/:id', async (c) => {
    const session = payments.findSession(c.req.param('id'))
    const { choice } = await c.req.parseBody()
    const how = TRIES[String(choice)]
    if (!session || !how) return c.html(page('Not found', html`<p>There is no such payment.</p>`), 404)
    try {
      payments.pay(session, how)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return show(session)
    }
    return how === 'declined card' ? show(session, true) : c.redirect(session.successUrl, 303)
  })

  function show(session: Session, isDeclined = false): Response {
    const amount = `$${(session.amountTotal / 100).toFixed(2)}`
    const body =
      session.status === 'open'
        ? html`<p class="what">${session.title}</p>
            <p class="amount">${amount}</p>
            ${isDeclined ? html`<p class="declined" role="alert">The card was declined. Try another one.</p>` : ''}
            <form method="post">
              <button name="choice" value="pay">Pay ${amount}</button>
              <button name="choice" value="decline" class="other">Pay with a card that is declined</button>
              <button name="choice" value="bank" class="other">Pay from a bank account that answers later</button>
            </form>
            ${session.cancelUrl === null ? '' : html`<p><a href="${session.cancelUrl}">Back without paying</a></p>`}
            <p class="note">Local cloud: no card is asked for and no money moves.</p>`
        : session.status === 'complete'
          ? html`<p>This payment has been made.</p>`
          : html`<p>This page has expired. Start again.</p>`
    return new Response(String(page(`Pay ${amount}`, body)), {
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'content-security-policy': policy(session),
        'referrer-policy': 'no-referrer',
      },
    })
  }
  return app
}

/** The form leads on to where the session says; a browser checks that address too. */
function policy({ successUrl }: Session): string {
  return `default-src 'none'; style-src 'unsafe-inline'; form-action 'self' ${new URL(successUrl).origin}; frame-ancestors 'none'; base-uri 'none'`
}

function page(title: string, body: unknown) {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          body { font: 16px/1.5 system-ui, sans-serif; background: #f6f7f9; color: #1a1f36; margin: 0; display: grid; min-height: 100vh; place-items: center }
          main { background: #fff; border: 1px solid #e3e8ee; border-radius: 12px; padding: 32px; width: min(360px, calc(100vw - 32px)); box-sizing: border-box }
          .what { color: #4f566b; margin: 0 }
          .amount { font-size: 36px; font-weight: 600; margin: 0 0 24px }
          button { width: 100%; font: inherit; padding: 12px; margin-bottom: 8px; border-radius: 8px; border: 1px solid #4b4ede; background: #4b4ede; color: #fff; cursor: pointer }
          button.other { background: #fff; color: #1a1f36; border-color: #c9d0da }
          button:focus-visible, a:focus-visible { outline: 3px solid #a5a7f3; outline-offset: 2px }
          .declined { background: #fdecea; color: #8c1c13; border-radius: 8px; padding: 8px 12px }
          .note { color: #697386; font-size: 14px; margin-bottom: 0 }
        </style>
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html>`
}
