import { type Command, defineCommand, type Group, isGroup } from '../command.ts'
import { exitCodeMeanings } from '../exit-code-meanings.ts'
import { globalOptions } from '../global-options.ts'
import { version } from '../version.ts'

interface OptionText {
  flags: string
  about: string
  choices?: readonly string[]
  repeatable?: true
}

const describeOption = ({ flags, about, choices, repeatable }: OptionText) => ({
  flags,
  about,
  takesValue: flags.includes('<'),
  repeatable: repeatable === true,
  choices: choices ?? null,
})

interface DescribedCommand {
  command: string
  summary: string
  details: string | null
  arguments: { name: string; required: boolean; repeatable: boolean; about: string }[]
  options: ReturnType<typeof describeOption>[]
  examples: string[]
}

function describe(words: string[], node: Command | Group): DescribedCommand[] {
  if (isGroup(node)) {
    return Object.entries(node.commands).flatMap(([name, child]) => describe([...words, name], child))
  }
  return [
    {
      command: words.join(' '),
      summary: node.summary,
      details: node.details ?? null,
      arguments: node.args.map(({ form, about }) => ({
        name: form.replace(/[<>[\].]/g, ''),
        required: form.startsWith('<'),
        repeatable: form.includes('...'),
        about,
      })),
      options: node.options.map(describeOption),
      examples: node.examples,
    },
  ]
}

export const commandsOf = (program: () => Group) =>
  defineCommand({
    summary: 'Print every command, option and exit code as JSON',
    examples: ['agentctl commands', 'agentctl commands | jq -r .commands[].command'],
    async run(ctx) {
      const document = {
        name: 'agentctl',
        version,
        globalOptions: Object.values(globalOptions).map(describeOption),
        exitCodes: exitCodeMeanings,
        commands: describe([], program()),
      }
      ctx.out.result(document, () => JSON.stringify(document, null, 2))
    },
  })
