import { defineCommand, duration, required, unless } from '../../command.ts'
import { waitForRelease } from '../../deploy/release-wait.ts'

/** The provider copies a disk for a quarter of an hour, and the snapshot may have to be finished first. */
const WAIT_SECONDS = 45 * 60

export const start = defineCommand({
  summary: 'Bring a stopped or suspended agent back with its files',
  args: { agent: required('name', 'name or id of the agent') },
  options: {
    wait: unless('--no-wait', 'do not wait for the health check'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 45m)'),
  },
  examples: ['agentctl agents start hello'],
  async run(ctx, { agent }, { wait, timeout }) {
    const release = await ctx.api('POST /v1/agents/:agent/start', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    if (release.status === 'live') {
      ctx.out.result(release, ({ number }) => `${agent} runs already, as release ${number}.`)
      return
    }
    const ended = wait
      ? await waitForRelease(ctx, {
          release,
          agent,
          timeoutSeconds: timeout ?? WAIT_SECONDS,
          document: (now) => now,
        })
      : release
    ctx.out.result(ended, ({ number }) =>
      wait ? `${agent} is back, as release ${number}.` : `${agent} starts as release ${number}.`,
    )
  },
})
