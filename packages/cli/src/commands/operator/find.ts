import { defineCommand, optional } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { describeAccount } from '../../operator/account-view.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { readLine } from '../../standard-input.ts'

export const find = defineCommand({
  summary: 'Find an account by its phone, a wallet or its id',
  details:
    'A phone is asked for, or read from stdin: as an argument it would stay in the history of the shell.',
  args: { who: optional('who', 'wallet (0x…) or account (acc_…)') },
  examples: ['agentctl operator find', 'agentctl operator find acc_4k2x9wq7m1z8c5v3b6n0'],
  async run(ctx, { who }) {
    const credential = operatorToken(ctx)
    if (who !== undefined && /^[+\d]/.test(who) && !/^0x/i.test(who)) {
      throw new Failure('usage', 'A phone is not given as an argument: it would stay in the history', {
        fix: 'Run agentctl operator find without it; it is asked for, or read from stdin.',
      })
    }
    const account = await ctx.api('POST /v1/operator/accounts/find', {
      ...credential,
      repeatable: true,
      body: wanted(
        who ??
          (ctx.readsInput
            ? ((await readLine(ctx.signal)) ?? '')
            : await ctx.prompt.text({ message: 'Phone, wallet or account:', flag: 'WHO' })),
      ),
    })
    ctx.out.result(account, describeAccount)
  },
})

function wanted(who: string) {
  if (who.startsWith('+')) return { phone: who }
  if (/^0x/i.test(who)) return { wallet: who }
  if (who.startsWith('acc_')) return { account: who }
  // What was typed may be a phone number in another form: it is not repeated.
  throw new Failure('usage', 'That is neither a phone (+82…), a wallet (0x…) nor an account (acc_…)', {
    fix: 'Write phones with a plus sign and the country code.',
  })
}
