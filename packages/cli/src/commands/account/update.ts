import { describeAccount } from '../../account-view.ts'
import { defineCommand, flag, option } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { provePhone } from '../../login/prove-phone.ts'
import { proveWallet } from '../../login/prove-wallet.ts'
import { walletOptions } from '../../wallet/signer.ts'

export const update = defineCommand({
  summary: 'Link a new phone or wallet to your account, or replace the old one',
  details:
    'A phone takes the place of the one before, a wallet that of --replace, or it is one more. What was replaced logs ' +
    'nobody in from then on, and every other session ends. Needs a proof that it is you, not older than ten minutes.',
  options: {
    phone: option('--phone <number>', 'phone to link; a code is sent to it'),
    code: option('--code <code>', 'the code, also of an earlier run; else by prompt or stdin'),
    wallet: flag('--wallet', 'wallet to link; it signs a message'),
    replace: option('--replace <address>', 'wallet that the new one takes the place of'),
    ...walletOptions,
  },
  examples: [
    'agentctl account update --phone +821012345678',
    'agentctl account update --wallet --keystore dev',
    'agentctl account update --wallet --keystore new --replace 0x…',
  ],
  async run(ctx, _, flags) {
    const usesWallet = flags.wallet || flags.keystore !== undefined || flags.signerCommand !== undefined
    const usesPhone = flags.phone !== undefined || flags.code !== undefined
    if (usesWallet === usesPhone) {
      throw new Failure('usage', 'Give either --phone NUMBER or --wallet', {
        fix: 'See: agentctl account update --help',
      })
    }
    if (flags.replace !== undefined && (!usesWallet || !/^0x[0-9a-fA-F]{40}$/.test(flags.replace))) {
      throw new Failure('usage', '--replace names a wallet, for which --wallet gives another one', {
        fix: 'See which are linked: agentctl account show',
      })
    }
    const replaced = flags.replace === undefined ? {} : { replaces: flags.replace }
    const account = usesWallet
      ? await ctx.api('POST /v1/account/wallets/verify', {
          body: {
            ...(await proveWallet(ctx, flags, (address) =>
              ctx.api('POST /v1/account/wallets', { body: { address } }),
            )),
            ...replaced,
          },
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
