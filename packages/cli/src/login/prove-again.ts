import type { Context } from '../context.ts'
import { provePhone } from './prove-phone.ts'
import { proveWallet } from './prove-wallet.ts'

const noWalletFlags = {
  keystore: undefined,
  passwordFile: undefined,
  signerCommand: undefined,
  address: undefined,
}

/**
 * Has whoever sits here prove that it is still them, so that what asked for it can go on. False where there is nobody
 * to ask.
 */
export async function proveAgain(ctx: Context): Promise<boolean> {
  if (!ctx.prompt.interactive || ctx.env.AGENTCTL_API_KEY) return false
  ctx.out.notice('This needs a proof that it is you, not older than ten minutes.')
  const { loginMethods } = await ctx.api('GET /v1/whoami')
  const method =
    loginMethods.length > 1
      ? await ctx.prompt.choose({
          message: 'How do you want to prove it?',
          flag: 'a fresh login: agentctl login',
          choices: [
            { name: 'Phone: a code by text message', value: 'phone' },
            { name: 'Wallet: a signature', value: 'wallet' },
          ],
        })
      : loginMethods[0]
  if (method === 'wallet') {
    const body = await proveWallet(ctx, noWalletFlags, (address) =>
      ctx.api('POST /v1/account/proofs/wallet', { body: { address } }),
    )
    await ctx.api('POST /v1/account/proofs/wallet/verify', { body })
  } else {
    const body = await provePhone(ctx, { phone: undefined, code: undefined }, 'agentctl login', (phone) =>
      ctx.api('POST /v1/account/proofs/phone', { body: { phone } }),
    )
    await ctx.api('POST /v1/account/proofs/phone/verify', { body })
    // The code has done its part; another command must not take it for its own.
    await ctx.saveConfig((config) => {
      delete config.pending?.[ctx.address().url]
    })
  }
  return true
}
