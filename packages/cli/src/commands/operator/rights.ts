import { defineCommand, flag } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { stateOf } from '../../operator/request-views.ts'
import { table } from '../../table.ts'

export const rights = defineCommand({
  summary: 'List requests about personal data that wait for an answer, overdue ones first',
  options: { all: flag('--all', 'those that were answered as well, the newest first') },
  examples: ['agentctl operator rights', 'agentctl operator rights --all'],
  async run(ctx, _, { all }) {
    const found = await ctx.api('GET /v1/operator/rights-requests', {
      ...operatorToken(ctx),
      query: { all: all ? 'true' : undefined },
    })
    ctx.out.result(found, (answer, width) =>
      answer.requests.length === 0
        ? 'None waits for an answer.'
        : table(
            ['request', 'kind', 'came by', 'received', 'state', 'account'],
            answer.requests.map((one) => [
              one.id,
              one.kind,
              one.cameBy,
              one.receivedAt.slice(0, 10),
              stateOf(one),
              one.account ?? '-',
            ]),
            width,
          ),
    )
    if (found.overdue > 0) ctx.out.notice(`${found.overdue} of them should have been answered by now.`)
  },
})
