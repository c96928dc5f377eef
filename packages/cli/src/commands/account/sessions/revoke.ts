import { defineCommand, flag, optional } from '../../../command.ts'
import { Failure } from '../../../failure.ts'

export const revoke = defineCommand({
  summary: 'End a session, or all others',
  args: { session: optional('session', 'id of the session, from agentctl account sessions list') },
  options: {
    others: flag('--others', 'all but this one'),
    yes: flag('-y, --yes', 'do not ask'),
  },
  examples: ['agentctl account sessions revoke ses_…', 'agentctl account sessions revoke --others --yes'],
  async run(ctx, { session }, { others, yes }) {
    if ((session === undefined) !== others) {
      throw new Failure('usage', 'Name one session, or give --others', {
        fix: 'See them: agentctl account sessions list',
        next: ['agentctl account sessions list'],
      })
    }
    const ids =
      session === undefined
        ? (await ctx.api('GET /v1/account/sessions')).sessions
            .filter((one) => !one.current)
            .map((one) => one.id)
        : [session]
    if (ids.length > 0) {
      const what = others ? `${ids.length} other session${ids.length === 1 ? '' : 's'}` : ids[0]
      await ctx.prompt.insist({ message: `End ${what}?`, yes, instead: 'Nothing was ended' })
    }
    for (const id of ids) await ctx.api('DELETE /v1/account/sessions/:session', { params: { session: id } })
    ctx.out.result(
      { revoked: ids },
      ids.length === 0 ? 'There is no other session.' : `Ended: ${ids.join(', ')}`,
    )
  },
})
