import { describeAccount } from '../../account-view.ts'
import { defineCommand, flag, option } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { provePhone } from '../../login/prove-phone.ts'
import { proveWallet } from '../../login/prove-wallet.ts'
import { walletOptions } from '../../wallet/signer.ts'

export const update = defineCommand({
  summary: 'Link a phone or a wallet to your account',
  details: 'Needs a login not older than ten minutes. A phone takes the place of the one before.',
  options: {
    phone: option('--phone <number>', 'phone to link; a code is sent to it'),
    code: option('--code <code>', 'the code, also of an earlier run; else by prompt or stdin'),
    wallet: flag('--wallet', 'wallet to link; it signs a message'),
    ...walletOptions,
  },
  examples: [
    'agentctl account update --phone +821012345678',
    'agentctl account update --wallet --keystore dev',
  ],
  async run(ctx, _, flags) {
    const usesWallet = flags.wallet || flags.keystore !== undefined || flags.signerCommand !== undefined
    const usesPhone = flags.phone !== undefined || flags.code !== undefined
    if (usesWallet === usesPhone) {
      throw new Failure('usage', 'Give either --phone NUMBER or --wallet', {
        fix: 'See: agentctl account update --help',
      })
    }
    const account = usesWallet
      ? await ctx.api('POST /v1/account/wallets/verify', {
          body: await proveWallet(ctx, flags, (address) =>
            ctx.api('POST /v1/account/wallets', { body: { address } }),
          ),
        })
      : await ctx.api('POST /v1/account/phone/verify', {
          body: await provePhone(ctx, flags, 'agentctl account update', (phone) =>
            ctx.api('POST /v1/account/phone', { body: { phone } }),
          ),
        })
    if (ctx.config().pending) {
      await ctx.saveConfig((config) => {
        delete config.pending?.[ctx.address().url]
      })
    }
    ctx.out.result(account, describeAccount)
  },
})
