import { resolve } from 'node:path'
import { defineCommand, flag, option, required } from '../../command.ts'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { setSecrets } from '../../secrets/set-secrets.ts'
import { readAllInput } from '../../standard-input.ts'
import { readTextFile } from '../../text-file.ts'

export const set = defineCommand({
  summary: 'Set a secret, from a prompt, stdin or a file',
  details:
    'The value is never an argument, since everybody on a machine can read those. One line break at its end is ' +
    'taken off. The agent gets it at its next start: agentctl agents restart.',
  args: {
    agent: required('name', 'name or id of the agent'),
    secret: required('secret', 'name of the secret, such as API_TOKEN'),
  },
  options: {
    file: option('--file <path>', 'file that holds the value'),
    create: flag('--create', 'make the agent if it does not exist yet'),
  },
  examples: [
    'agentctl secrets set hello API_TOKEN',
    'printf %s "$TOKEN" | agentctl secrets set hello API_TOKEN',
    'agentctl secrets set hello CERT --file cert.pem',
  ],
  async run(ctx, { agent, secret }, { file, create }) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(secret)) {
      throw new Failure(
        'usage',
        'The name of a secret has letters, digits and underscores only, and no value beside it',
        {
          fix: 'Give the name alone; the value comes from a prompt, stdin or --file.',
        },
      )
    }
    const value = (await readValue(ctx, secret, file)).replace(/\r?\n$/, '')
    if (value === '') {
      throw new Failure('usage', `The value of ${secret} is empty; nothing was set`, {
        fix: 'Give a value, or remove the secret: agentctl secrets unset',
      })
    }
    const answer = await setSecrets(ctx, { agent, secrets: { [secret]: value }, create })
    ctx.out.result(answer, `${secret} is set.`)
    ctx.out.note(`It is there at the next start: agentctl agents restart ${agent}`)
  },
})

async function readValue(ctx: Context, secret: string, file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return readTextFile(resolve(ctx.cwd, file))
  if (ctx.prompt.interactive && file === undefined) {
    return ctx.prompt.hidden({ message: `Value of ${secret}:`, flag: '--file PATH' })
  }
  if (!ctx.pipedInput) {
    throw new Failure('missing_answer', `There is nobody to ask for the value of ${secret}`, {
      fix: 'Give --file PATH, or the value on stdin',
    })
  }
  return readAllInput()
}
