import { choice, defineCommand, option, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { describeRequest } from '../../operator/request-views.ts'

const kinds = ['access', 'correct', 'delete', 'export', 'other'] as const
const ways = ['mail', 'post', 'phone'] as const

export const note = defineCommand({
  summary: 'Note a request about personal data that came by mail, post or phone; it is due in ten days',
  details:
    'What was written stays out of it: only what is asked for, how and when it came, and whose account it is about.',
  args: { kind: required('kind', kinds.join(', ')) },
  options: {
    by: choice('--by <way>', 'how it came', ways),
    account: option('--account <id>', 'whose account it is about, once that is known'),
    received: option('--received <time>', 'when it came, such as 2026-11-20; now unless told'),
  },
  examples: [
    'agentctl operator note delete --by mail --account acc_4k2x9wq7m1z8c5v3b6n0',
    'agentctl operator note access --by post --received 2026-11-20',
  ],
  async run(ctx, { kind: said }, { by, account, received }) {
    const kind = kinds.find((one) => one === said)
    if (!kind)
      throw new Failure('usage', `A request is one of ${kinds.join(', ')}`, { fix: 'Give one of them.' })
    if (!by) throw new Failure('missing_answer', 'How did it come?', { fix: `Give --by: ${ways.join(', ')}` })
    const at = received === undefined ? undefined : timeIn(received)
    if (received !== undefined && !at) {
      throw new Failure('usage', `--received takes a day or a time, not '${received}'`, {
        fix: 'Write it as 2026-11-20.',
      })
    }
    const noted = await ctx.api('POST /v1/operator/rights-requests', {
      ...operatorToken(ctx),
      body: {
        kind,
        cameBy: by,
        ...(account === undefined ? {} : { account }),
        ...(at ? { receivedAt: at.toISOString() } : {}),
      },
    })
    ctx.out.result(noted, describeRequest)
  },
})

/** A day or a time that there is; on its own, Date takes the 31st of February for a day of March, and 5 for a May. */
function timeIn(text: string): Date | undefined {
  const day = /^\d{4}-\d\d-\d\d(?=$|T)/.exec(text)?.[0]
  const [at, midnight] = [new Date(text), new Date(day ?? '')]
  const isThere = !Number.isNaN(at.getTime()) && !Number.isNaN(midnight.getTime())
  return isThere && midnight.toISOString().startsWith(String(day)) ? at : undefined
}
