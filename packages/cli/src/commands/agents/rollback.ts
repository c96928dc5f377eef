import { defineCommand, duration, required, unless, wholeNumber } from '../../command.ts'
import { DEFAULT_WAIT_SECONDS, waitForRelease } from '../../deploy/release-wait.ts'

export const rollback = defineCommand({
  summary: 'Deploy an earlier release again',
  args: { agent: required('name', 'name or id of the agent') },
  options: {
    to: wholeNumber('--to <number>', 'release to go back to; the one that was live before unless told', {
      min: 1,
      max: 1_000_000_000,
    }),
    wait: unless('--no-wait', 'do not wait for the health check'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 12m)'),
  },
  examples: ['agentctl agents rollback hello', 'agentctl agents rollback hello --to 3'],
  async run(ctx, { agent }, { to, wait, timeout }) {
    const release = await ctx.api('POST /v1/agents/:agent/rollback', {
      params: { agent },
      query: { namespace: ctx.namespace() },
      body: to === undefined ? {} : { number: to },
    })
    const ended = wait
      ? await waitForRelease(ctx, {
          release,
          agent,
          timeoutSeconds: timeout ?? DEFAULT_WAIT_SECONDS,
          document: (now) => now,
        })
      : release
    ctx.out.result(ended, ({ number }) =>
      wait
        ? `${agent} is back at ${to === undefined ? 'the release before' : `release ${to}`}, as release ${number}.`
        : `${agent} goes back, as release ${number}.`,
    )
  },
})
