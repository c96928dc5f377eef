import type { Context } from '../context.ts'
import { checkSignInMessage } from '../wallet/sign-in-message.ts'
import { openSigner, type WalletFlags } from '../wallet/signer.ts'

/** Has the message that the service composes signed by the wallet; it is shown to nobody else. */
export async function proveWallet(
  ctx: Context,
  flags: WalletFlags,
  challenge: (address: string) => Promise<{ message: string }>,
): Promise<{ message: string; signature: string }> {
  if (!ctx.config().walletNoticeShown) {
    ctx.out.notice(
      'A wallet address and its transactions are public on its chain, for everybody and for good.\n' +
        'Signing in costs nothing and moves nothing.',
    )
    if (!ctx.out.json) {
      await ctx.saveConfig((config) => {
        config.walletNoticeShown = true
      })
    }
  }
  const signer = await openSigner(ctx, flags)
  const { message } = await challenge(signer.address)
  checkSignInMessage(message, { apiUrl: ctx.address().url, address: signer.address })
  return { message, signature: await signer.sign(message) }
}
