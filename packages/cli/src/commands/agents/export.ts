import { resolve } from 'node:path'
import { CONTENTS_BYTES_MAX, contentsIn, type ExportedAgent } from '../../agents/exported-agent.ts'
import { defineCommand, option, required, unless } from '../../command.ts'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { writeNewFile } from '../../new-file.ts'

const AT_ONCE = 500

export const exportAgent = defineCommand({
  summary: 'Get all that makes an agent what it is, as JSON',
  details:
    'Its configuration, the files of its last release, its domains, its spend limits and the names of its secrets, whose ' +
    'values nobody is told. agentctl agents import makes the same agent of it, here or elsewhere. Needs a proof that it ' +
    'is you, not older than ten minutes; an API key does not do.',
  args: { agent: required('name', 'name or id of the agent') },
  options: {
    output: option('-o, --output <file>', 'write it there; else to stdout'),
    files: unless('--no-files', 'leave the contents of its files out, and tell their hashes only'),
  },
  examples: [
    'agentctl agents export hello --output hello.agent.json',
    'agentctl agents export hello --no-files | jq .config',
  ],
  async run(ctx, { agent }, { output, files }) {
    const namespace = ctx.namespace()
    const found = await ctx.api('GET /v1/agents/:agent/export', { params: { agent }, query: { namespace } })
    const sizes = new Map(found.files.map(({ sha256, size }) => [sha256, size]))
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    if (files && bytes > CONTENTS_BYTES_MAX) {
      throw new Failure('usage', `Its files have ${bytes} bytes, which is too much for one document`, {
        fix: 'Keep the folder that it was deployed from, and export the rest: --no-files',
      })
    }
    const contents = files ? await fetchContents(ctx, agent, [...sizes.keys()]) : {}
    const exported: ExportedAgent = { ...found, contents }
    if (output === undefined) {
      ctx.out.raw(JSON.stringify(exported, null, 1))
      return
    }
    const path = resolve(ctx.cwd, output)
    writeNewFile(path, `${JSON.stringify(exported, null, 1)}\n`)
    const told = { file: path, name: found.name, release: found.release, files: found.files.length, bytes }
    ctx.out.result(
      told,
      `Release ${found.release} of ${found.name}, ${found.files.length} files, is in ${path}.`,
    )
    if (found.secrets.length > 0) {
      ctx.out.note(`Of its secrets it has the names only: ${found.secrets.join(', ')}`)
    }
  },
})

async function fetchContents(ctx: Context, agent: string, hashes: string[]): Promise<Record<string, string>> {
  const contents: Record<string, string> = {}
  for (let at = 0; at < hashes.length; at += AT_ONCE) {
    const answer = await ctx.api.open('POST /v1/agents/:agent/contents', {
      params: { agent },
      query: { namespace: ctx.namespace() },
      body: { sha256s: hashes.slice(at, at + AT_ONCE) },
      repeatable: true,
      timeoutSeconds: 600,
    })
    Object.assign(contents, contentsIn(Buffer.from(await answer.arrayBuffer())))
  }
  if (hashes.some((sha256) => contents[sha256] === undefined)) {
    throw new Failure('unavailable', 'Some files did not arrive', { fix: 'Export it again.' })
  }
  return contents
}
