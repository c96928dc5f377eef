import { type Command, type Group, isGroup } from './command.ts'
import { exitCodeMeanings } from './exit-code-meanings.ts'
import { globalOptions } from './global-options.ts'
import { terms, WIDTH, wrap } from './wrapped-text.ts'

/** A titled list of terms. */
const section = (title: string, rows: [term: string, about: string][]): string =>
  rows.length === 0 ? '' : `${title}:\n${terms(rows).join('\n')}\n`

interface OptionText {
  flags: string
  about: string
  choices?: readonly string[]
}

const optionRow = ({ flags, about, choices }: OptionText): [string, string] => [
  flags.startsWith('--') ? `    ${flags}` : flags,
  choices ? `${about} (${choices.join(', ')})` : about,
]

const globalRows = Object.values(globalOptions).map(optionRow)
const join = (parts: string[]) => parts.filter((part) => part !== '').join('\n')

/** Commands of a group; a nested group shows its own commands in short. */
const commandRows = (group: Group): [string, string][] =>
  Object.entries(group.commands).map(([name, node]) => [name, node.summary])

export function renderGroupHelp(words: string[], group: Group): string {
  const name = ['agentctl', ...words].join(' ')
  const [first] = Object.keys(group.commands)
  return join([
    `Usage: ${name} <command> [options]\n`,
    `${wrap(`${group.summary}.`, WIDTH).join('\n')}\n`,
    section('Commands', commandRows(group)),
    section('Global options', globalRows),
    `Help for one of them: ${name} ${first} --help\n`,
  ])
}

export function renderCommandHelp(words: string[], command: Command): string {
  const usage = ['agentctl', ...words, ...command.args.map((arg) => arg.form)].join(' ')
  return join([
    `Usage: ${usage} [options]\n`,
    `${wrap(`${command.summary}.`, WIDTH).join('\n')}\n`,
    command.details === undefined ? '' : `${wrap(command.details, WIDTH).join('\n')}\n`,
    section(
      'Arguments',
      command.args.map((arg) => [arg.form.replace(/[<>[\]]/g, ''), arg.about]),
    ),
    section('Options', [...command.options.map(optionRow), ['-h, --help', 'this help']]),
    section('Global options', globalRows),
    `Examples:\n${command.examples.map((example) => `  $ ${example}`).join('\n')}\n`,
  ])
}

/** The first page. It is made when the program is built, so that showing it loads nothing. */
export function renderTopHelp(root: Group, chapters: Record<string, string[]>): string {
  return join([
    'agentctl: deploy AI agents from a folder to a machine of their own\n',
    'Usage: agentctl <command> [options]\n',
    ...Object.entries(chapters).map(([title, names]) =>
      section(
        title,
        names.map((name) => {
          const node = root.commands[name]
          if (!node) throw new Error(`the help lists ${name}, which does not exist`)
          return [name.padEnd(12), node.summary]
        }),
      ),
    ),
    section('Global options', [...globalRows, ['-V, --version', 'the version'], ['-h, --help', 'this help']]),
    section('Environment', [
      ['AGENTCTL_API_KEY', 'key that is used instead of a login'],
      ['AGENTCTL_API_URL', 'address of the API'],
      ['AGENTCTL_NAMESPACE', 'namespace to work in'],
      ['AGENTCTL_CONFIG_DIR', 'where logins are kept'],
      ['NO_COLOR, CI', 'plain text; CI also never asks'],
    ]),
    section('Exit codes', Object.entries(exitCodeMeanings)),
    'Examples:\n  $ agentctl login\n  $ agentctl deploy\n  $ agentctl agents logs hello -f\n',
    'Help for a command: agentctl deploy --help\n',
  ]).replace(/ +$/gm, '')
}

export const pageOf = (words: string[], node: Command | Group): string =>
  isGroup(node) ? renderGroupHelp(words, node) : renderCommandHelp(words, node)
