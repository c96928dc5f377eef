import { defineCommand, duration, required } from '../../command.ts'
import { keyIdOf } from '../../key-id.ts'

export const rotate = defineCommand({
  summary: 'Make the successor of a key; the old one works on for a while',
  args: { key: required('key', 'name or id of the key') },
  options: { overlap: duration('--overlap <time>', 'how long the old key works on, such as 1h or 0s') },
  examples: ['agentctl keys rotate ci', 'agentctl keys rotate key_… --overlap 0s'],
  async run(ctx, { key }, { overlap }) {
    const made = await ctx.api('POST /v1/keys/:key/rotate', {
      params: { key: await keyIdOf(ctx, key) },
      body: overlap === undefined ? {} : { overlapSeconds: overlap },
    })
    ctx.out.note(`Key ${made.id} takes the place of ${key}. It is shown this once:`)
    ctx.out.result(made, made.key)
  },
})
