import { defineCommand, required } from '../../command.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { table } from '../../table.ts'

export const requests = defineCommand({
  summary: 'Show the newest requests of an account to the API, as far as they are kept',
  args: { account: required('account', 'its id, acc_…') },
  examples: ['agentctl operator requests acc_01ab23cd45ef67gh89jk'],
  async run(ctx, { account }) {
    const found = await ctx.api('GET /v1/operator/requests', { ...operatorToken(ctx), query: { account } })
    ctx.out.result(found, ({ requests }, width) =>
      requests.length === 0
        ? 'There are none within 90 days.'
        : table(
            ['at', 'request', 'endpoint', 'status', 'ms', 'by'],
            requests.map(({ at, requestId, route, status, durationMs, credentialId }) => [
              at,
              requestId,
              route || '-',
              String(status),
              String(durationMs),
              credentialId ?? '-',
            ]),
            width,
          ),
    )
  },
})
