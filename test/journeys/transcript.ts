import { spawn } from 'node:child_process'

/**
 * A journey is a Markdown page whose `console` blocks are typed into a real shell and must print what they show.
 * `…` in a line stands for any text, a line of only `…` for any lines, `[exit 2]` after the output for the exit code
 * (0 where nothing is said). Everything that the command prints counts, stdout and stderr as a terminal shows them.
 */
export interface Step {
  line: number
  command: string
  expected: string[]
  exit: number
}

export function parseTranscript(markdown: string): Step[] {
  const steps: Step[] = []
  let inside = false
  let current: Step | undefined
  for (const [index, text] of markdown.split('\n').entries()) {
    if (!inside && text === '```console') inside = true
    else if (inside && text === '```') {
      inside = false
      current = undefined
    } else if (inside && text.startsWith('$ ')) {
      current = { line: index + 1, command: text.slice(2), expected: [], exit: 0 }
      steps.push(current)
    } else if (inside && text.startsWith('> ') && current && current.expected.length === 0) {
      current.command += `\n${text.slice(2)}`
    } else if (inside && current) {
      const exit = /^\[exit (\d+)\]$/.exec(text)
      if (exit) current.exit = Number(exit[1])
      else current.expected.push(text)
    } else if (inside) throw new Error(`Line ${index + 1}: output before the first command`)
  }
  if (inside) throw new Error('A console block is not closed')
  return steps
}

/** Whether what was printed is what the page shows; trailing blanks and blank lines at the end do not count. */
export function matches(expected: readonly string[], printed: string): boolean {
  const pattern = trimmed(expected)
    .map((line) =>
      line.trim() === '…' ? '(?:[^\\n]*\\n)*?' : `${line.split('…').map(escaped).join('[^\\n]*?')}[ \\t]*\\n`,
    )
    .join('')
  const text = trimmed(printed.split('\n'))
    .map((line) => `${line}\n`)
    .join('')
  return new RegExp(`^${pattern}$`).test(text)
}

function trimmed(lines: readonly string[]): string[] {
  const kept = lines.map((line) => line.trimEnd())
  while (kept.at(-1) === '') kept.pop()
  return kept
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

export interface Shell {
  /** Types a command; resolves to what it printed and how it ended. */
  type(command: string, timeoutMs?: number): Promise<{ printed: string; exit: number }>
  end(): void
}

/** One bash that lives through a whole page, so that variables and the current folder last. */
export function openShell(environment: Record<string, string>, cwd: string, prelude: string): Shell {
  const mark = `end-of-${Math.random().toString(36).slice(2)}`
  const bash = spawn('bash', ['--norc', '--noprofile'], {
    cwd,
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let printed = ''
  let heard: () => void = () => {}
  bash.stdout.on('data', (chunk: Buffer) => {
    printed += chunk
    heard()
  })
  bash.stdin.write(`${prelude}\n`)
  return {
    async type(command, timeoutMs = 120_000) {
      printed = ''
      bash.stdin.write(`{ ${command}\n} 2>&1 </dev/null; printf '\\n${mark} %d\\n' $?\n`)
      const end = new RegExp(`\\n${mark} (\\d+)\\n$`)
      const deadline = Date.now() + timeoutMs
      let found = end.exec(printed)
      while (!found) {
        if (Date.now() > deadline)
          throw new Error(`Still running after ${timeoutMs} ms: ${command}\n${printed}`)
        await new Promise<void>((resolve) => {
          heard = resolve
          setTimeout(resolve, 500)
        })
        found = end.exec(printed)
      }
      return { printed: printed.slice(0, found.index), exit: Number(found[1]) }
    },
    end() {
      bash.stdin.end()
      bash.kill()
    },
  }
}
