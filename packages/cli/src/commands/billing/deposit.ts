import type { ResponseOf } from '@agentctl/contract/api.ts'
import { payByCard } from '../../billing/card-payment.ts'
import type { PayableChain } from '../../billing/chain-node.ts'
import { claimAndWait } from '../../billing/deposit-wait.ts'
import { findByHash } from '../../billing/unsettled-payments.ts'
import { payFromWallet, sendAgain } from '../../billing/wallet-payment.ts'
import { defineCommand, duration, flag, option, optional, unless } from '../../command.ts'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { parseDollars } from '../../money.ts'
import { pairs } from '../../table.ts'
import { walletOptions } from '../../wallet/signer.ts'

type Chains = ResponseOf<'GET /v1/billing/deposit-addresses'>['chains']

export const deposit = defineCommand({
  summary: 'Add credits: from your wallet, or by card',
  details:
    'AMOUNT is in dollars, paid in the token of the chain from the wallet of this machine (--keystore, else ' +
    'AGENTCTL_PRIVATE_KEY), which has to be linked to your account. Waits until it is credited: exit 8 if that takes ' +
    'longer than --timeout, 5 if the wallet does not hold enough. Run again after an interruption, it never pays twice.',
  args: { amount: optional('amount', 'dollars, such as 25 or 25.50') },
  options: {
    tx: option('--tx <hash>', 'claim a payment that was made, or go on with one that was interrupted'),
    showAddress: flag('--address', 'show where to pay'),
    card: option('--card <amount>', 'pay so many dollars by card, on the page of the payment processor'),
    chain: option('--chain <name>', 'chain to pay on; see --address'),
    keystore: walletOptions.keystore,
    passwordFile: walletOptions.passwordFile,
    again: flag('--again', 'pay although an earlier payment is not settled'),
    yes: flag('-y, --yes', 'do not ask before paying'),
    wait: unless('--no-wait', 'do not wait until it is credited'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 30m (default 40m)'),
  },
  examples: [
    'agentctl billing deposit 25 --keystore dev',
    'agentctl billing deposit --address',
    'agentctl billing deposit --tx 0x…',
    'agentctl billing deposit --card 25',
  ],
  async run(ctx, { amount }, flags) {
    const { tx, showAddress, card, chain: chainName, wait, timeout: timeoutSeconds } = flags
    const ways = [amount !== undefined, tx !== undefined, showAddress, card !== undefined]
    if (ways.filter(Boolean).length !== 1) {
      throw new Failure('usage', 'Give one of: an amount, --card AMOUNT, --tx HASH, --address', {
        fix: 'See: agentctl billing deposit --help',
      })
    }
    if (card !== undefined) {
      const amountMicros = parseDollars(card, '--card')
      return payByCard(ctx, { amountMicros, wait, timeoutSeconds })
    }
    if (tx !== undefined) {
      return claim(ctx, { txHash: checkedHash(tx), chainName, wait, timeoutSeconds })
    }
    const amountMicros = amount === undefined ? undefined : parseDollars(amount, 'The amount')
    const { chains, wallets } = await ctx.api('GET /v1/billing/deposit-addresses')
    if (amountMicros === undefined) {
      const shown = chainName === undefined ? chains : [pick(chains, chainName)]
      ctx.out.result({ chains: shown }, () => describe(shown))
      return
    }
    const chain = pick(chains, chainName)
    const payment = await payFromWallet(ctx, chain, {
      amountMicros,
      linkedWallets: wallets,
      again: flags.again,
      yes: flags.yes,
      wallet: flags,
    })
    await claimAndWait(ctx, { txHash: payment.hash, chain: chain.chain, payment, wait, timeoutSeconds })
  },
})

/** A payment that was signed on this machine is sent again if its chain does not know it; then it is claimed. */
async function claim(
  ctx: Context,
  given: {
    txHash: string
    chainName: string | undefined
    wait: boolean
    timeoutSeconds: number | undefined
  },
): Promise<void> {
  const { txHash, chainName, wait, timeoutSeconds } = given
  const payment = findByHash(ctx.configDirectory, ctx.address().url, txHash)
  if (payment === undefined) {
    return claimAndWait(ctx, { txHash, chain: chainName, payment, wait, timeoutSeconds })
  }
  const { chains } = await ctx.api('GET /v1/billing/deposit-addresses')
  try {
    await sendAgain(ctx, pick(chains, payment.chain), payment)
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'provider_unavailable') throw error
    // The service has nodes of its own, and may have seen it.
    ctx.out.notice(`Whether it was sent cannot be seen from here: ${error.message}`)
  }
  await claimAndWait(ctx, { txHash, chain: payment.chain, payment, wait, timeoutSeconds })
}

function checkedHash(text: string): string {
  if (/^0x[0-9a-fA-F]{64}$/.test(text)) return text
  throw new Failure('usage', '--tx takes the hash of a transaction: 0x and 64 hexadecimal digits', {
    fix: 'Copy it from your wallet or from an explorer of the chain.',
  })
}

function pick(chains: Chains, name: string | undefined): PayableChain {
  const [first] = chains
  if (!first) {
    throw new Failure('deposits_unavailable', 'This service takes no payments on chain', {
      fix: 'Pay by card: agentctl billing deposit --card 25',
    })
  }
  // The service lists its default first.
  const found = name === undefined ? first : chains.find(({ chain }) => chain === name)
  if (found) return found
  throw new Failure('usage', `--chain takes ${chains.map(({ chain }) => chain).join(', ')}; not '${name}'`, {
    fix: 'Correct the chain.',
  })
}

const describe = (chains: Chains): string =>
  chains
    .map(({ chain, chainId, token, address }) =>
      pairs([
        ['chain', `${chain} (${chainId})`],
        ['pay to', address],
        ['token', `${token.symbol}, ${token.address}`],
        ['from', 'a wallet that is linked to your account: agentctl account show'],
      ]),
    )
    .join('\n\n')
