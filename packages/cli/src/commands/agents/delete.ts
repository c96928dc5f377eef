import { defineCommand, flag, required } from '../../command.ts'

export const remove = defineCommand({
  summary: 'Delete an agent, its machine, its files and its address',
  args: { agent: required('name', 'name or id of the agent') },
  options: { yes: flag('-y, --yes', 'do not ask') },
  examples: ['agentctl agents delete hello', 'agentctl agents delete hello --yes'],
  async run(ctx, { agent }, { yes }) {
    const query = { namespace: ctx.namespace() }
    const found = await ctx.api('GET /v1/agents/:agent', { params: { agent }, query })
    await ctx.prompt.insist({
      message: `Delete ${found.name} in ${found.namespace}, with its machine and everything on it, for good?`,
      yes,
      instead: 'Nothing was deleted',
    })
    // By id: should a namesake take the place meanwhile, it is not the one that was agreed to.
    const gone = await ctx.api('DELETE /v1/agents/:agent', { params: { agent: found.id }, query: {} })
    ctx.out.result(gone, ({ name, namespace, status }) =>
      status === 'deleted'
        ? `${name} in ${namespace} is deleted.`
        : `${name} in ${namespace} is being deleted.`,
    )
  },
})
