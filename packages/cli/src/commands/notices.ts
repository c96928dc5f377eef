import type { Notice } from '@agentctl/contract/identity.ts'
import { defineCommand, flag } from '../command.ts'
import { Failure } from '../failure.ts'
import { printable } from '../output.ts'
import { wrap } from '../wrapped-text.ts'

const WIDTH = 76
/** As many as the service takes at once. */
const AT_ONCE = 200

export const notices = defineCommand({
  summary: 'Show service messages that are new, and note that they were read',
  details:
    'The service keeps no address of yours, so it leaves messages here: when credits run down, when an agent is ' +
    'suspended or comes back, when a snapshot is deleted. New ones also appear under whatever command you run.',
  options: { all: flag('--all', 'also those that were read before') },
  examples: [
    'agentctl notices',
    'agentctl notices --all',
    'agentctl notices --json | jq -r .notices[].message',
  ],
  async run(ctx, _, { all }) {
    const found = await ctx.api('GET /v1/notices', { query: { unread: all ? undefined : 'true' } })
    ctx.out.result(found, ({ notices: shown }) => {
      if (shown.length > 0) return shown.map((notice) => described(notice, all)).join('\n\n')
      return all
        ? 'There are no messages.'
        : 'There are no new messages. Those of before: agentctl notices --all'
    })
    const ids = found.notices.flatMap(({ id, readAt }) => (readAt === null ? [id] : [])).slice(0, AT_ONCE)
    if (ids.length === 0) return
    try {
      await ctx.api('POST /v1/notices/read', { body: { ids }, repeatable: true })
    } catch (error) {
      // They were shown, which was asked for; unread, they are shown once more.
      if (!(error instanceof Failure) || error.code === 'interrupted') throw error
      ctx.out.notice(`The service could not be told that they were read: ${error.message}`)
    }
  },
})

/** Its time as the messages themselves tell times. */
function described({ message, createdAt, next, readAt }: Notice, all: boolean): string {
  const at = `${createdAt.slice(0, 16).replace('T', ' ')} UTC`
  return [
    all && readAt === null ? `${at}, new` : at,
    ...wrap(printable(message), WIDTH).map((line) => `  ${line}`),
    ...(next === null ? [] : [`  Next: ${printable(next)}`]),
  ].join('\n')
}
