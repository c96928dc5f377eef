import { defineCommand, required } from '../../command.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const releases = defineCommand({
  summary: 'List the releases of an agent, newest first',
  args: { agent: required('name', 'name or id of the agent') },
  examples: ['agentctl agents releases hello'],
  async run(ctx, { agent }) {
    const found = await ctx.api('GET /v1/agents/:agent/releases', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    const now = new Date()
    ctx.out.result(found, (answer, width) =>
      answer.releases.length === 0
        ? 'No releases yet. Make one: agentctl deploy'
        : table(
            ['number', 'status', 'made', 'files', 'what'],
            answer.releases.map(({ number, status, createdAt, files, failure, step }) => [
              String(number),
              status,
              relative(createdAt, now),
              String(files),
              failure?.message ?? step ?? '',
            ]),
            width,
          ),
    )
  },
})
