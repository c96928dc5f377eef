import { openBrowser } from '../../browser.ts'
import { defineCommand, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { reach } from '../../reach.ts'

export const open = defineCommand({
  summary: 'Check that an agent answers, and open its address in the browser',
  args: { agent: required('name', 'name or id of the agent') },
  examples: ['agentctl agents open hello'],
  async run(ctx, { agent }) {
    const { name, url } = await ctx.api('GET /v1/agents/:agent', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    const answer = await reach(url, ctx.signal)
    if ('reason' in answer) {
      throw new Failure('agent_unreachable', `${name} does not answer at ${url}: ${answer.reason}`, {
        fix: `See the log: agentctl agents logs ${name}`,
        next: [`agentctl agents logs ${name}`],
        document: { url, httpStatus: null, opened: false },
      })
    }
    if (answer.httpStatus >= 500) ctx.out.notice(`${name} answers with status ${answer.httpStatus}.`)
    const opened = ctx.watched && openBrowser(url)
    ctx.out.result({ url, httpStatus: answer.httpStatus, opened }, url)
  },
})
