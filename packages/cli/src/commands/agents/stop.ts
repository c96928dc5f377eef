import { defineCommand, required } from '../../command.ts'

export const stop = defineCommand({
  summary: 'Release the machine of an agent and keep its files in a snapshot',
  details:
    'A machine that is only switched off costs as much as one that runs. Stopped, an agent costs what its snapshot ' +
    'costs (agentctl billing prices), and agentctl agents start brings it back with its files.',
  args: { agent: required('name', 'name or id of the agent') },
  examples: ['agentctl agents stop hello'],
  async run(ctx, { agent }) {
    const stopped = await ctx.api('POST /v1/agents/:agent/stop', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    ctx.out.result(stopped, ({ name, status }) =>
      status === 'suspended'
        ? `${name} stays suspended; a deposit will not start it by itself.`
        : `${name} is stopped. Its files are kept: agentctl agents start ${name}`,
    )
  },
})
