import { defineCommand } from '../../command.ts'
import { table } from '../../table.ts'
import { relative } from '../../times.ts'

export const list = defineCommand({
  summary: 'List API keys, without their secret part',
  examples: ['agentctl keys list'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/keys')
    const now = new Date()
    ctx.out.result(found, ({ keys }, width) =>
      keys.length === 0
        ? 'No keys. Make one: agentctl keys create NAME'
        : table(
            ['id', 'name', 'key', 'scopes', 'namespace', 'expires', 'last used'],
            keys.map((key) => [
              key.id,
              key.name,
              `${key.prefix}…`,
              key.scopes.join(','),
              key.namespace ?? 'all',
              key.revokedAt !== null
                ? 'revoked'
                : key.expiresAt === null
                  ? 'never'
                  : relative(key.expiresAt, now),
              key.lastUsedAt === null ? 'never' : relative(key.lastUsedAt, now),
            ]),
            width,
          ),
    )
  },
})
