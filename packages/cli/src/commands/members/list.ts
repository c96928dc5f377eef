import { defineCommand } from '../../command.ts'
import { chosenNamespace } from '../../namespace-choice.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const list = defineCommand({
  summary: 'List the members of a namespace',
  examples: ['agentctl members list -n demo'],
  async run(ctx) {
    const namespace = await chosenNamespace(ctx)
    const found = await ctx.api('GET /v1/namespaces/:namespace/members', { params: { namespace } })
    const now = new Date()
    ctx.out.result(found, ({ members }, width) =>
      table(
        ['account', 'role', 'since', ''],
        members.map(({ accountId, role, since, you }) => [
          accountId,
          role,
          relative(since, now),
          you ? 'you' : '',
        ]),
        width,
      ),
    )
  },
})
