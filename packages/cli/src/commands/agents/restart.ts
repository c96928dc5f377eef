import { defineCommand, duration, required, unless } from '../../command.ts'
import { DEFAULT_WAIT_SECONDS, waitForRelease } from '../../deploy/release-wait.ts'

export const restart = defineCommand({
  summary: 'Start the live release afresh, with the secrets of now',
  args: { agent: required('name', 'name or id of the agent') },
  options: {
    wait: unless('--no-wait', 'do not wait for the health check'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 12m)'),
  },
  examples: ['agentctl agents restart hello'],
  async run(ctx, { agent }, { wait, timeout }) {
    const release = await ctx.api('POST /v1/agents/:agent/restart', {
      params: { agent },
      query: { namespace: ctx.namespace() },
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
      wait ? `${agent} runs afresh, as release ${number}.` : `${agent} restarts as release ${number}.`,
    )
  },
})
