import { Command as Commander, CommanderError, Option } from 'commander'
import { type Command, type Group, isGroup, type OptionSpec } from './command.ts'
import { Failure } from './failure.ts'
import { type GlobalValues, globalOptions } from './global-options.ts'
import { nearest } from './nearest.ts'

export type Request =
  | { kind: 'help'; words: string[]; node: Command | Group }
  | { kind: 'version' }
  | {
      kind: 'run'
      words: string[]
      command: Command
      globals: GlobalValues
      args: readonly unknown[]
      optionValue: (flags: string) => unknown
    }

const takesValue = (flags: string): boolean => flags.includes('<')
const namesOf = (flags: string): string[] => flags.match(/--?[a-z][a-z-]*/g) ?? []
const valued = new Set(
  Object.values(globalOptions).flatMap(({ flags }) => (takesValue(flags) ? namesOf(flags) : [])),
)
const helpWords = ['-h', '--help']

/** Whether `--json` was asked for, known even where the rest of the line makes no sense. */
export const wantsJson = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json')
}

/** Finds the command that is meant: the words that are not options, down the tree, until a command is reached. */
function descend(root: Group, argv: readonly string[]) {
  const words: string[] = []
  const rest: string[] = []
  let node: Command | Group = root
  let index = 0
  for (; index < argv.length && isGroup(node); index++) {
    const token = argv[index] ?? ''
    if (token === '--') break
    if (token.startsWith('-') && token !== '-') {
      rest.push(token)
      if (valued.has(token) && index + 1 < argv.length) rest.push(argv[++index] ?? '')
      continue
    }
    if (words.length === 0 && token === 'help') {
      rest.push('--help')
      continue
    }
    const next: Command | Group | undefined = Object.hasOwn(node.commands, token)
      ? node.commands[token]
      : undefined
    if (!next) throw unknownCommand(words, token, node)
    node = next
    words.push(token)
  }
  return { node, words, rest: [...rest, ...argv.slice(index)] }
}

function unknownCommand(words: string[], token: string, group: Group): Failure {
  const typed = ['agentctl', ...words].join(' ')
  const meant = nearest(token, Object.keys(group.commands))
  if (meant !== undefined) {
    return new Failure('usage', `There is no command '${[...words, token].join(' ')}'`, {
      fix: `Did you mean: ${typed} ${meant}`,
      next: [`${typed} ${meant}`],
    })
  }
  return new Failure('usage', `There is no command '${[...words, token].join(' ')}'`, {
    fix: `See: ${typed} --help`,
    next: [`${typed} --help`],
  })
}

export function readCommandLine(root: Group, argv: readonly string[]): Request {
  const { node, words, rest } = descend(root, argv)
  if (isGroup(node)) {
    const asksHelp = rest.some((token) => helpWords.includes(token))
    if (!asksHelp && words.length === 0 && (rest.includes('--version') || rest.includes('-V'))) {
      return { kind: 'version' }
    }
    const unknown = rest.find(
      (token, index) =>
        token.startsWith('-') &&
        !valued.has(rest[index - 1] ?? '') &&
        !helpWords.includes(token) &&
        !allGlobalNames.includes(token.split('=', 1)[0] ?? ''),
    )
    if (unknown !== undefined) throw unknownOption(unknown, words)
    if (asksHelp || words.length === 0) return { kind: 'help', words, node }
    const typed = ['agentctl', ...words].join(' ')
    throw new Failure('usage', `'${typed}' needs a command: ${Object.keys(node.commands).join(', ')}`, {
      fix: `See: ${typed} --help`,
      next: [`${typed} --help`],
    })
  }
  return readOptions(node, words, rest)
}

const allGlobalNames = [...Object.values(globalOptions).flatMap(({ flags }) => namesOf(flags)), ...helpWords]

function unknownOption(token: string, words: string[]): Failure {
  const meant = nearest(token, allGlobalNames)
  const typed = ['agentctl', ...words].join(' ')
  return new Failure('usage', `unknown option '${token}'`, {
    fix: meant === undefined ? `See: ${typed} --help` : `Did you mean ${meant}?`,
  })
}

function declare(commander: Commander, { flags, about, choices, repeatable }: OptionSpec<unknown>) {
  const option = new Option(flags, about)
  if (choices) option.choices([...choices])
  if (repeatable) {
    option.argParser<string[]>((value, before) => {
      const values = value.split(',').map((one) => one.trim())
      const wrong = values.find((one) => choices && !choices.includes(one))
      if (wrong !== undefined) {
        throw new Failure('usage', `${namesOf(flags).at(-1)} takes ${choices?.join(', ')}; not '${wrong}'`, {
          fix: 'Correct the value.',
        })
      }
      return [...(before ?? []), ...values]
    })
  }
  commander.addOption(option)
  return [flags, option.attributeName()] as const
}

function readOptions(command: Command, words: string[], rest: string[]): Request {
  const typed = ['agentctl', ...words].join(' ')
  const commander = new Commander(typed)
    .exitOverride()
    .configureOutput({ writeOut() {}, writeErr() {} })
    .action(() => {})
  for (const { form, about } of command.args) commander.argument(form, about)
  const names = new Map(
    [...Object.values(globalOptions), ...command.options].map((option) => declare(commander, option)),
  )
  try {
    commander.parse(rest, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.code === 'commander.helpDisplayed') return { kind: 'help', words, node: command }
    throw wrongUsage(error, typed)
  }
  const options: Record<string, unknown> = commander.opts()
  const optionValue = (flags: string) => options[names.get(flags) ?? '']
  const read = <T>({ flags, read }: OptionSpec<T>): T => read(optionValue(flags))
  const globals: GlobalValues = {
    json: read(globalOptions.json),
    namespace: read(globalOptions.namespace),
    apiUrl: read(globalOptions.apiUrl),
    input: read(globalOptions.input),
    quiet: read(globalOptions.quiet),
    debug: read(globalOptions.debug),
    color: read(globalOptions.color),
  }
  return { kind: 'run', words, command, globals, args: commander.processedArgs, optionValue }
}

function wrongUsage({ message }: CommanderError, typed: string): Failure {
  const [first = '', hint] = message.replace(/^error: /, '').split('\n')
  const meant = hint?.match(/Did you mean (?:one of )?(.+?)\??\)/)?.[1]
  return new Failure('usage', first, {
    fix: meant === undefined ? `See: ${typed} --help` : `Did you mean ${meant}? See: ${typed} --help`,
    next: [`${typed} --help`],
  })
}
