import { html } from 'hono/html'
import { page } from '../platform/answers.ts'

/** The page after a payment. Whoever opens it may have paid or not: it says nothing about any account, and does nothing. */
export function donePage(): Response {
  return paymentPage(
    'Thank you',
    'Your payment is on its way. Credits appear as soon as the card processor confirms it to us; you can close this page.',
    'agentctl billing balance',
  )
}

/** The page after going back without a payment. */
export function canceledPage(): Response {
  return paymentPage(
    'Nothing was paid',
    'You have not been charged. You can close this page.',
    'agentctl billing deposit --card 25',
  )
}

function paymentPage(title: string, sentence: string, command: string): Response {
  const text = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · agentctl</title>
        <style>
          body { font: 16px/1.5 system-ui, sans-serif; margin: 0; display: grid; min-height: 100vh; place-items: center }
          main { width: min(440px, calc(100vw - 48px)) }
          h1 { font-size: 24px; margin: 0 0 8px }
          code { display: block; font: 14px/1.5 ui-monospace, monospace; padding: 10px 14px; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 8px }
        </style>
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p>${sentence}</p>
          <code>${command}</code>
        </main>
      </body>
    </html>`
  return page(String(text))
}
