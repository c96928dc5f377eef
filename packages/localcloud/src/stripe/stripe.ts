import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Hono } from 'hono'
import { KeptState } from '../kept-state.ts'
import { type StandInOptions, startStandIn } from '../stand-in.ts'
import { checkoutPage } from './checkout-page.ts'
import { stripeControls } from './controls.ts'
import { Payments } from './payments.ts'
import { stripeApi } from './stripe-api.ts'
import { INITIAL_STATE, type StripeState } from './stripe-state.ts'
import { Webhooks } from './webhooks.ts'

interface StripeCredentials {
  secretKey: string
  webhookSecret: string
}

export interface Stripe extends StripeCredentials {
  /** Origin; the API is under `/v1`, payment pages under `/c/pay`, the controls of the stand-in under `/_local`. */
  url: string
  /** Where events are told from now on; null for nowhere. */
  setWebhook(url: string | null): void
  stop(): Promise<void>
}

const EXPIRY_LOOK_MS = 250

/** Starts the stand-in for Stripe's hosted Checkout. */
export async function startStripe(options: StandInOptions): Promise<Stripe> {
  let setWebhook: Stripe['setWebhook'] = () => {}
  const { url, credentials, stop } = await startStandIn<StripeCredentials>(
    {
      name: 'stripe',
      makeCredentials: () => ({
        secretKey: `sk_test_${randomBytes(24).toString('hex')}`,
        webhookSecret: `whsec_${randomBytes(24).toString('hex')}`,
      }),
      build: ({ credentials, folder, clock }) => {
        const state = new KeptState<StripeState>(join(folder, 'state.json'), structuredClone(INITIAL_STATE))
        const webhooks = new Webhooks({ state, clock, secret: credentials.webhookSecret })
        const payments = new Payments(state, clock, webhooks)
        const expiry = setInterval(() => payments.expireDue(), EXPIRY_LOOK_MS)
        setWebhook = (webhookUrl) => {
          state.value.webhookUrl = webhookUrl
          state.save()
        }
        const api = new Hono()
        api.route('/', checkoutPage(payments))
        api.route('/', stripeApi({ secretKey: credentials.secretKey, payments, webhooks, clock }))
        return {
          api,
          local: stripeControls(payments, webhooks),
          close: async () => {
            clearInterval(expiry)
            webhooks.stop()
          },
        }
      },
    },
    options,
  )
  return { url, ...credentials, setWebhook, stop }
}
