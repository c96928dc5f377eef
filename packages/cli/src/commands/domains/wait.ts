import type { Domain } from '@agentctl/contract/domains.ts'
import { defineCommand, duration, required } from '../../command.ts'
import { linesOf, shownName } from '../../domains/domain-text.ts'
import { waitForDomain } from '../../domains/domain-wait.ts'
import { Failure } from '../../failure.ts'
import { printable } from '../../output.ts'

const WAIT_SECONDS = 10 * 60

export const wait = defineCommand({
  summary: 'Wait until a domain is served over HTTPS',
  details:
    'Live means that its DNS leads to the agent, its certificate is there, and the service has asked the name itself ' +
    'over HTTPS and got the right answer.',
  args: { domain: required('name', 'the name, or its id') },
  options: { timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 2h (default 10m)') },
  examples: ['agentctl domains wait bot.example.com', 'agentctl domains wait bot.example.com --timeout 2h'],
  async run(ctx, { domain }, { timeout }) {
    // A check has the service look now, and often from now on.
    const first = await ctx.api('POST /v1/domains/:domain/check', {
      params: { domain },
      query: { namespace: ctx.explicitNamespace },
      repeatable: true,
    })
    for (const line of first.findings.flatMap(linesOf)) ctx.out.note(line)
    const now = await waitForDomain(ctx, {
      first: first.domain,
      timeoutSeconds: timeout ?? WAIT_SECONDS,
      // One that is live and waits for something is being taken away.
      goesOn: ({ status, step }) =>
        status === 'pending' || status === 'verifying' || (status === 'live' && step !== null),
      resume: `agentctl domains wait ${first.domain.hostname}`,
    })
    if (now.status !== 'live') throw failed(now)
    ctx.out.note(`${shownName(now.hostname)} is live.`)
    ctx.out.result(now, ({ hostname }) => `https://${hostname}`)
  },
})

function failed(domain: Domain): Failure {
  const why = domain.failure?.message ?? ''
  const name = shownName(domain.hostname)
  const add = `agentctl domains add ${domain.hostname} --agent ${domain.agent.name}`
  return domain.status === 'removed'
    ? new Failure('domain_failed', `${name} has been removed`, {
        fix: `To attach it again: ${add}`,
        document: domain,
      })
    : new Failure('domain_failed', printable(`${name} was given up. ${why}`), {
        fix: `When that is set right: ${add}`,
        next: [add],
        document: domain,
      })
}
