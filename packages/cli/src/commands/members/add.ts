import { roles } from '@agentctl/contract/endpoint.ts'
import { choice, defineCommand } from '../../command.ts'
import { chosenNamespace } from '../../namespace-choice.ts'
import { relative } from '../../times.ts'

export const add = defineCommand({
  summary: 'Make an invitation code for a new member',
  details: 'The code works once. Whoever has it joins by: agentctl members join CODE',
  options: { role: choice('--role <role>', 'what the member may do (default developer)', roles) },
  examples: ['agentctl members add -n demo', 'agentctl members add --role viewer'],
  async run(ctx, _, { role = 'developer' }) {
    const namespace = await chosenNamespace(ctx)
    const made = await ctx.api('POST /v1/namespaces/:namespace/invitations', {
      params: { namespace },
      body: { role },
    })
    ctx.out.note(
      `For one new ${made.role} of ${namespace}; it expires ${relative(made.expiresAt, new Date())}:`,
    )
    ctx.out.result(made, made.code)
  },
})
