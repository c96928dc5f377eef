import { resolve } from 'node:path'
import { defineCommand, flag, optional, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { parseDotenv } from '../../secrets/dotenv.ts'
import { setSecrets } from '../../secrets/set-secrets.ts'
import { readAllInput } from '../../standard-input.ts'
import { readTextFile } from '../../text-file.ts'

export const importSecrets = defineCommand({
  summary: 'Set all secrets of a .env file, or none if one line is wrong',
  args: {
    agent: required('name', 'name or id of the agent'),
    file: optional('file', 'file of NAME=value lines; stdin unless told'),
  },
  options: { create: flag('--create', 'make the agent if it does not exist yet') },
  examples: ['agentctl secrets import hello .env', 'vault-export | agentctl secrets import hello'],
  async run(ctx, { agent, file }, { create }) {
    if ((file === undefined || file === '-') && !ctx.pipedInput) {
      throw new Failure('missing_answer', 'Which file is to be imported?', {
        fix: 'Give a file, or its lines on stdin: agentctl secrets import NAME FILE',
      })
    }
    const text =
      file === undefined || file === '-' ? await readAllInput() : readTextFile(resolve(ctx.cwd, file))
    const secrets = parseDotenv(text)
    const names = Object.keys(secrets)
    if (names.length === 0) {
      throw new Failure('usage', 'There is no NAME=value line in it; nothing was set', {
        fix: 'Check the file.',
      })
    }
    const answer = await setSecrets(ctx, { agent, secrets, create })
    ctx.out.result(answer, `Set: ${names.join(', ')}`)
    ctx.out.note(`They are there at the next start: agentctl agents restart ${agent}`)
  },
})
