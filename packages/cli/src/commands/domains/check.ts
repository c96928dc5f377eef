import { defineCommand, required } from '../../command.ts'
import { describeDomain, describeFindings, shownName } from '../../domains/domain-text.ts'
import { Failure } from '../../failure.ts'

export const check = defineCommand({
  summary: 'Compare live DNS with the records that should be there, and say what is wrong',
  details:
    'Exit 0 if the records are right, 1 if one is missing or wrong, 7 if DNS could not be asked. It also has the ' +
    'service look at the name at once.',
  args: { domain: required('name', 'the name, or its id') },
  examples: ['agentctl domains check bot.example.com'],
  async run(ctx, { domain }) {
    const found = await ctx.api('POST /v1/domains/:domain/check', {
      params: { domain },
      query: { namespace: ctx.explicitNamespace },
      repeatable: true,
    })
    const now = new Date()
    const { hostname, status } = found.domain
    const wrong = found.findings.filter(({ state }) => state !== 'right')
    const [first] = wrong
    ctx.out.result(found, ({ domain, findings }) => {
      // What was seen just now says the same as the service's last look, or something newer.
      const shown = { ...domain, step: first ? null : domain.step }
      return `${describeDomain(shown, now)}\n\n${describeFindings(findings)}`
    })
    if (first === undefined) {
      if (status === 'pending' || status === 'verifying') {
        ctx.out.note(`The records are right. Wait until it is served: agentctl domains wait ${hostname}`)
      }
      if (status === 'failed') {
        const { name } = found.domain.agent
        ctx.out.note(`It was given up. To try again: agentctl domains add ${hostname} --agent ${name}`)
      }
      return
    }
    if (wrong.every(({ state }) => state === 'not_answered')) {
      throw new Failure('network', first.message, { fix: first.fix ?? 'Try again in a minute.' })
    }
    throw new Failure('dns_not_right', `The DNS of ${shownName(hostname)} is not right yet`)
  },
})
