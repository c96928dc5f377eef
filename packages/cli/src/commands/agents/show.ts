import { defineCommand, required } from '../../command.ts'
import { shownName } from '../../domains/domain-text.ts'
import { pairs } from '../../table.ts'
import { relative } from '../../times.ts'

export const show = defineCommand({
  summary: 'Show an agent: its address, status and release',
  args: { agent: required('name', 'name or id of the agent') },
  examples: ['agentctl agents show hello', 'agentctl agents show hello --json'],
  async run(ctx, { agent }) {
    const found = await ctx.api('GET /v1/agents/:agent', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    const now = new Date()
    const at = (time: string | null) => time && `${relative(time, now)} (${time})`
    ctx.out.result(found, ({ id, name, namespace, url, status, size, region, release, domains, ...times }) =>
      pairs([
        ['name', name],
        ['namespace', namespace],
        ['url', url],
        ['status', status],
        ['release', release ? `${release.number} (${release.id})` : 'none serves'],
        ['size', `${size} in ${region}`],
        ...domains.map((domain): [string, string] => [
          'domain',
          `${shownName(domain.hostname)}: ${domain.status}`,
        ]),
        ['suspends', at(times.suspendsAt)],
        ['snapshot goes', at(times.snapshotDeletedAt)],
        ['id', id],
      ]),
    )
  },
})
