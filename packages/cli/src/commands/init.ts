import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import schema from '../agent.schema.json' with { type: 'json' }
import { choice, defineCommand, optional } from '../command.ts'
import type { Context } from '../context.ts'
import { type Detected, detect, nameOfFolder } from '../deploy/detect.ts'
import { Failure } from '../failure.ts'
import { type TemplateName, templateNames, templates } from '../init/templates.ts'

export const init = defineCommand({
  summary: 'Write agent.json for what a folder holds, or start from a template',
  args: { directory: optional('dir', 'folder of the agent; made if it is missing') },
  options: { template: choice('--template <name>', 'write a small agent to start from', templateNames) },
  examples: [
    'agentctl init',
    'agentctl init my-agent --template node',
    'agentctl init my-agent --template python',
  ],
  async run(ctx, { directory = '.' }, flags) {
    const folder = resolve(ctx.cwd, directory)
    const target = join(folder, 'agent.json')
    if (existsSync(target)) {
      throw new Failure('conflict', `${shown(ctx, target)} exists already`, {
        fix: 'Edit it, or move it away first. To deploy it: agentctl deploy',
        next: ['agentctl deploy'],
      })
    }
    const empty = !existsSync(folder) || readdirSync(folder).every((name) => name.startsWith('.'))
    const template = flags.template ?? (empty ? await askTemplate(ctx) : undefined)
    const found = template === undefined ? detect(folder) : undefined
    if (template === undefined && !found?.start) {
      throw new Failure(
        'usage',
        `Nothing in ${shown(ctx, folder) || 'this folder'} says how to start an agent`,
        {
          fix: 'Start from a template (--template node or python), or write agent.json: {"start": "./my-program"}',
          next: ['agentctl init --template node'],
        },
      )
    }
    const files = {
      ...(template === undefined ? {} : templates[template].files),
      'agent.schema.json': `${JSON.stringify(schema, null, 2)}\n`,
      'agent.json': `${JSON.stringify(agentFile(folder, template, found), null, 2)}\n`,
    }
    const inTheWay = Object.keys(files).filter(
      (name) => name !== 'agent.schema.json' && existsSync(join(folder, name)),
    )
    if (inTheWay.length > 0) {
      throw new Failure('conflict', `These exist already: ${inTheWay.join(', ')}`, {
        fix: 'Take another folder: agentctl init NEW-FOLDER --template node',
      })
    }
    mkdirSync(folder, { recursive: true })
    // agent.json comes last: where it is, everything else is.
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    const written = Object.keys(files).map((name) => shown(ctx, join(folder, name)))
    ctx.out.result(
      {
        directory: folder,
        template: template ?? null,
        detected: found?.kind ?? null,
        files: Object.keys(files),
      },
      `Wrote ${written.join(', ')}`,
    )
    ctx.out.note(`Next: agentctl deploy${directory === '.' ? '' : ` ${directory}`}`)
  },
})

const shown = (ctx: Context, path: string): string => relative(ctx.cwd, path)

async function askTemplate(ctx: Context): Promise<TemplateName | undefined> {
  return ctx.prompt.choose({
    message: 'The folder is empty. Which template?',
    flag: '--template node, or --template python',
    choices: [
      { name: 'Node', value: 'node' },
      { name: 'Python', value: 'python' },
    ],
  })
}

function agentFile(folder: string, template: TemplateName | undefined, found: Detected | undefined) {
  const name = nameOfFolder(folder)
  return {
    $schema: './agent.schema.json',
    ...(name === undefined ? {} : { name }),
    size: 'small',
    ...(found?.install ? { install: found.install } : {}),
    start: template === undefined ? found?.start : templates[template].start,
    // A folder of one's own may have no such path; the port is then the sign of health.
    ...(template === undefined ? {} : { health: { path: '/health' } }),
  }
}
