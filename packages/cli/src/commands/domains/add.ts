import { randomUUID } from 'node:crypto'
import { defineCommand, option, required } from '../../command.ts'
import { chosenAgent } from '../../domains/chosen-agent.ts'
import { describeRecords, shownName } from '../../domains/domain-text.ts'
import { untilRegistered } from '../../domains/domain-wait.ts'
import { Failure } from '../../failure.ts'

export const add = defineCommand({
  summary: 'Attach a name of your own to an agent, and print the DNS records to create',
  details:
    'The name belongs to the agent once its DNS leads there; until then nobody is let in under it. The same name ' +
    'again on the same agent changes nothing. A certificate is issued and renewed for it.',
  args: { hostname: required('name', 'name of your own, such as bot.example.com') },
  options: {
    agent: option('--agent <name>', 'agent that it leads to; the one of agent.json here unless told'),
  },
  examples: [
    'agentctl domains add bot.example.com --agent hello',
    'agentctl domains add bot.example.com --json | jq .records',
  ],
  async run(ctx, { hostname }, { agent: named }) {
    const { agent, namespace } = await chosenAgent(ctx, named)
    ctx.onInterrupt('Whether it was attached is not known yet: agentctl domains list')
    const added = await ctx.api('POST /v1/domains', {
      body: { agent, hostname, ...(namespace === undefined ? {} : { namespace }) },
      idempotencyKey: randomUUID(),
    })
    const now = await untilRegistered(ctx, added)
    if (now.status === 'failed' || now.status === 'removed') {
      throw new Failure(
        'domain_failed',
        `${shownName(now.hostname)} cannot be used. ${now.failure?.message ?? ''}`,
        {
          fix: `See: agentctl domains check ${now.hostname}`,
          document: now,
        },
      )
    }
    ctx.out.result(now, (domain) => {
      const where = `${shownName(domain.hostname)} is attached to ${domain.agent.name}`
      return domain.status === 'live' ? `${where} and live.` : `${where}.\n${describeRecords(domain)}`
    })
    if (now.status !== 'live') {
      ctx.out.note(`Then wait until it is served: agentctl domains wait ${now.hostname}`)
    }
  },
})
