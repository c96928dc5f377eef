import { resolve } from 'node:path'
import { defineCommand, option } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { writeNewFile } from '../../new-file.ts'

export const exportAccount = defineCommand({
  summary: 'Get everything that is held about your account, as JSON',
  details:
    'With what each thing is kept for, and for how long. Of secrets, keys and your phone it tells that they exist, not ' +
    'what they are. Needs a proof that it is you, not older than ten minutes.',
  options: { output: option('-o, --output <file>', 'write it there, readable by you alone; else to stdout') },
  examples: ['agentctl account export --output me.json', 'agentctl account export | jq .held.agents'],
  async run(ctx, _, { output }) {
    const answer = await ctx.api.open('GET /v1/account/export', { timeoutSeconds: 600 })
    const text = await answer.text().catch((cause: unknown) => {
      throw new Failure('network', 'The export broke off', { cause, fix: 'Ask for it again.' })
    })
    const held = heldIn(text)
    if (held === undefined) {
      throw new Failure('unavailable', 'The export did not arrive whole', {
        fix: 'Ask for it again.',
        requestId: answer.headers.get('x-request-id') ?? undefined,
      })
    }
    if (output === undefined) {
      ctx.out.raw(text)
      return
    }
    const path = resolve(ctx.cwd, output)
    writeNewFile(path, text)
    const rows = Object.fromEntries(Object.entries(held).map(([name, list]) => [name, list.length]))
    const count = Object.values(rows).reduce((sum, one) => sum + one, 0)
    ctx.out.result({ file: path, rows }, `${count} rows are in ${path}, and what each is kept for.`)
  },
})

/** An answer that was cut off is no JSON. */
function heldIn(text: string): Record<string, unknown[]> | undefined {
  try {
    const document: unknown = JSON.parse(text)
    if (typeof document !== 'object' || document === null || !('held' in document)) return undefined
    return document.held as Record<string, unknown[]>
  } catch {
    return undefined
  }
}
