import { defineCommand, option } from '../../command.ts'
import { shownName } from '../../domains/domain-text.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const list = defineCommand({
  summary: 'List domains: of one agent with --agent, of one namespace with -n, else all of yours',
  options: { agent: option('--agent <name>', 'only those of this agent') },
  examples: ['agentctl domains list', 'agentctl domains list --agent hello --json'],
  async run(ctx, _, { agent }) {
    const namespace = agent === undefined ? ctx.explicitNamespace : ctx.namespace()
    const found = await ctx.api('GET /v1/domains', { query: { namespace, agent } })
    const now = new Date()
    ctx.out.result(found, ({ domains }, width) =>
      domains.length === 0
        ? 'No domains. Attach one: agentctl domains add bot.example.com --agent NAME'
        : table(
            ['domain', 'agent', 'namespace', 'status', 'certificate'],
            domains.map(({ hostname, agent, namespace, status, certificate }) => [
              shownName(hostname),
              agent.name,
              namespace,
              status,
              certificate?.expiresAt ? `expires ${relative(certificate.expiresAt, now)}` : '-',
            ]),
            width,
          ),
    )
  },
})
