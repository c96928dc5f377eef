import { defineCommand, flag } from '../command.ts'
import { relative } from '../times.ts'
import { wrap } from '../wrapped-text.ts'

/** As many as the service takes at once. */
const AT_ONCE = 200

export const notices = defineCommand({
  summary: 'Show service messages, and note that they were read',
  details:
    'The service keeps no address of yours, so it leaves messages here: when credits run down, when an agent is ' +
    'suspended or comes back, when a snapshot is deleted.',
  options: {
    unread: flag('--unread', 'only those that were not read yet'),
    keep: flag('--keep', 'leave them unread'),
  },
  examples: ['agentctl notices', 'agentctl notices --unread --json'],
  async run(ctx, _, { unread, keep }) {
    const found = await ctx.api('GET /v1/notices', { query: { unread: unread ? 'true' : undefined } })
    const now = new Date()
    ctx.out.result(found, ({ notices: all }) =>
      all.length === 0
        ? 'There are no messages.'
        : all
            .map(({ message, createdAt, next, readAt }) =>
              [
                `${readAt === null ? '*' : ' '} ${relative(createdAt, now)}`,
                ...wrap(message, 76).map((line) => `  ${line}`),
                ...(next === null ? [] : [`  ${next}`]),
              ].join('\n'),
            )
            .join('\n'),
    )
    const ids = found.notices.filter(({ readAt }) => readAt === null).map(({ id }) => id)
    if (!keep && ids.length > 0)
      await ctx.api('POST /v1/notices/read', { body: { ids: ids.slice(0, AT_ONCE) } })
  },
})
