import { type Command, type Group, isGroup } from '../command.ts'
import { globalOptions } from '../global-options.ts'

interface Place {
  /** Words typed so far, joined by spaces; empty at the start. */
  path: string
  /** What may come next. */
  words: { word: string; about: string }[]
}

const longFlags = (options: { flags: string; about: string }[]) =>
  options.flatMap(({ flags, about }) =>
    (flags.match(/--[a-z][a-z-]*/g) ?? []).map((word) => ({ word, about: about.split('\n', 1)[0] ?? '' })),
  )

/** Every place of the tree with its commands, or its options. */
function places(words: string[], node: Command | Group): Place[] {
  const global = longFlags(Object.values(globalOptions))
  const help = { word: '--help', about: 'this help' }
  if (!isGroup(node)) return [{ path: words.join(' '), words: [...longFlags(node.options), ...global, help] }]
  const children = Object.entries(node.commands)
  return [
    {
      path: words.join(' '),
      words: [...children.map(([word, child]) => ({ word, about: child.summary })), ...global, help],
    },
    ...children.flatMap(([name, child]) => places([...words, name], child)),
  ]
}

const quoted = (text: string) => `'${text.replace(/'/g, "'\\''")}'`

function bash(all: Place[]): string {
  return `# agentctl completion for bash. Install: agentctl completion bash > ~/.local/share/bash-completion/completions/agentctl
_agentctl_words() {
  case "$1" in
${all.map(({ path, words }) => `    ${quoted(path)}) echo ${quoted(words.map(({ word }) => word).join(' '))} ;;`).join('\n')}
  esac
}
_agentctl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) continue ;; esac
    case " $(_agentctl_words "$path") " in *" $word "*) path="\${path:+$path }$word" ;; esac
  done
  mapfile -t COMPREPLY < <(compgen -W "$(_agentctl_words "$path")" -- "$current")
  if [ \${#COMPREPLY[@]} -eq 0 ]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi
}
complete -F _agentctl agentctl
`
}

function zsh(all: Place[]): string {
  const described = ({ word, about }: Place['words'][number]) =>
    quoted(`${word}:${about.replace(/:/g, '\\:')}`)
  return `#compdef agentctl
# agentctl completion for zsh. Install: agentctl completion zsh > ~/.zfunc/_agentctl (a folder of $fpath)
_agentctl_words() {
  case "$1" in
${all.map(({ path, words }) => `    ${quoted(path)}) reply=(${words.map(described).join(' ')}) ;;`).join('\n')}
    *) reply=() ;;
  esac
}
_agentctl() {
  local path_typed='' word
  local -a reply
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ "$word" == -* ]] && continue
    _agentctl_words "$path_typed"
    if (( \${reply[(I)$word:*]} )); then path_typed="\${path_typed:+$path_typed }$word"; fi
  done
  _agentctl_words "$path_typed"
  _describe 'agentctl' reply || _files
}
if [ "$funcstack[1]" = _agentctl ]; then _agentctl "$@"; else compdef _agentctl agentctl; fi
`
}

function fish(all: Place[]): string {
  const lines = all.flatMap(({ path, words }) =>
    words.map(({ word, about }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`
      return `complete -c agentctl -n ${quoted(`__agentctl_at ${quoted(path)}`)} ${what} -d ${quoted(about)}`
    }),
  )
  return `# agentctl completion for fish. Install: agentctl completion fish > ~/.config/fish/completions/agentctl.fish
set -g __agentctl_places ${all.map(({ path }) => quoted(path)).join(' ')}
function __agentctl_at
    set -l path ''
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; and continue
        set -l longer (string trim -- "$path $word")
        contains -- "$longer" $__agentctl_places; and set path "$longer"
    end
    test "$path" = "$argv[1]"
end
${lines.join('\n')}
`
}

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

const scripts: Record<Shell, (all: Place[]) => string> = { bash, zsh, fish }

export const completionScript = (shell: Shell, program: Group): string => scripts[shell](places([], program))
