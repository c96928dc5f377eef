import { defineCommand, optional } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { readLine } from '../../standard-input.ts'
import { pairs } from '../../table.ts'
import { relative } from '../../times.ts'

export const find = defineCommand({
  summary: 'Find an account by its phone, a wallet or its id',
  details:
    'Without an argument it is asked for, or read from stdin, so that a phone number stays out of the history of the shell.',
  args: { who: optional('who', 'phone (+82…), wallet (0x…) or account (acc_…)') },
  examples: ['agentctl operator find', 'agentctl operator find acc_4k2x9wq7m1z8c5v3b6n0'],
  async run(ctx, { who }) {
    const credential = operatorToken(ctx)
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
    ctx.out.result(account, ({ id, createdAt, creditsMicros, loginMethods }) =>
      pairs([
        ['account', id],
        ['made', relative(createdAt, new Date())],
        ['credits', dollars(creditsMicros)],
        ['logs in by', loginMethods.join(', ') || 'nothing'],
      ]),
    )
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
