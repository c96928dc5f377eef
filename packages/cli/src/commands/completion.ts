import { defineCommand, type Group, required } from '../command.ts'
import { completionScript, shells } from '../completion/scripts.ts'
import { Failure } from '../failure.ts'

export const completionOf = (program: () => Group) =>
  defineCommand({
    summary: 'Print a completion script for your shell',
    args: { shell: required('shell', shells.join(', ')) },
    examples: [
      'agentctl completion bash > ~/.local/share/bash-completion/completions/agentctl',
      'agentctl completion zsh > ~/.zfunc/_agentctl',
      'agentctl completion fish > ~/.config/fish/completions/agentctl.fish',
    ],
    async run(ctx, { shell: said }) {
      const shell = shells.find((one) => one === said)
      if (shell === undefined) {
        throw new Failure('usage', `There is no completion for '${said}'`, {
          fix: `Shells: ${shells.join(', ')}`,
        })
      }
      const script = completionScript(shell, program())
      ctx.out.result({ shell, script }, script.trimEnd())
    },
  })
