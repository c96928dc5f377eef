import { defineCommand, flag, required } from '../../command.ts'
import { chosenNamespace } from '../../namespace-choice.ts'

export const remove = defineCommand({
  summary: 'Remove a member, or leave',
  args: { account: required('account', 'id of the member, from agentctl members list') },
  options: { yes: flag('-y, --yes', 'do not ask') },
  examples: ['agentctl members remove acc_… --yes'],
  async run(ctx, { account }, { yes }) {
    const namespace = await chosenNamespace(ctx)
    await ctx.prompt.insist({
      message: `Remove ${account} from ${namespace}?`,
      yes,
      instead: 'Nobody was removed',
    })
    await ctx.api('DELETE /v1/namespaces/:namespace/members/:account', { params: { namespace, account } })
    ctx.out.result({ accountId: account, namespace, removed: true }, `${account} left ${namespace}.`)
  },
})
