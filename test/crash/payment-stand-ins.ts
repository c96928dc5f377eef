import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Stripe, startStripe } from '@agentctl/localcloud/stripe/stripe.ts'
import type { StripeState } from '@agentctl/localcloud/stripe/stripe-state.ts'
import { faultyNode, type PayingChain, payingChain } from '@agentctl/server/billing/testing/paying.ts'
import type { PrivateKeyAccount } from 'viem/accounts'

/** Who moves money to a world's account, one of each for every world: they follow its clock. */
export interface PaymentStandIns {
  /** Mines when it is told to. */
  chain: PayingChain
  /** Where payments go, and from where operators send some back. */
  treasury: PrivateKeyAccount
  /** Between the servers and the chain. */
  node: Awaited<ReturnType<typeof faultyNode>>
  stripe: Stripe
  /** All that the card processor knows. */
  stripeState(): StripeState
  /** Settings of the servers. */
  environment: Record<string, string>
  stop(): Promise<void>
}

export async function openPaymentStandIns(home: string, apiUrl: string): Promise<PaymentStandIns> {
  const chain = await payingChain({ dataDir: home })
  const treasury = await chain.somebody(0n)
  const node = await faultyNode(chain.local.rpcUrl)
  const stripe = await startStripe({ dataDir: home, log: () => {} })
  const webhook = `${apiUrl}/v1/webhooks/stripe`
  stripe.setWebhook(webhook)
  return {
    chain,
    treasury,
    node,
    stripe,
    stripeState: () => JSON.parse(readFileSync(join(home, 'stripe/state.json'), 'utf8')),
    environment: {
      CHAIN_ID: String(chain.local.chainId),
      CHAIN_RPC_URL: node.url,
      CHAIN_NAME: 'local',
      DEPOSIT_ADDRESS: treasury.address,
      DEPOSIT_TOKEN_ADDRESS: chain.local.token.address,
      DEPOSIT_START_BLOCK: '0',
      // Only when a journey has something to be found.
      DEPOSIT_POLL_SECONDS: '3600',
      STRIPE_SECRET_KEY: stripe.secretKey,
      STRIPE_WEBHOOK_SECRET: stripe.webhookSecret,
      STRIPE_BASE_URL: stripe.url,
    },
    async stop() {
      await Promise.all([chain.stop(), node.stop(), stripe.stop()])
    },
  }
}
