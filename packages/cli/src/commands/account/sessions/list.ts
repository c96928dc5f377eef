import { defineCommand } from '../../../command.ts'
import { table } from '../../../table.ts'
import { relative } from '../../../times.ts'

export const list = defineCommand({
  summary: 'List where you are logged in',
  examples: ['agentctl account sessions list'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/account/sessions')
    const now = new Date()
    ctx.out.result(found, ({ sessions }, width) =>
      table(
        ['id', 'device', 'by', 'last used', 'expires', ''],
        sessions.map(({ id, device, loginMethod, lastUsedAt, expiresAt, current }) => [
          id,
          device ?? '-',
          loginMethod,
          relative(lastUsedAt, now),
          relative(expiresAt, now),
          current ? 'this one' : '',
        ]),
        width,
      ),
    )
  },
})
