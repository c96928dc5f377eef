import type { Output } from './output.ts'

export interface Progress {
  /** What is being done now. */
  say(text: string): void
  stop(): void
}

/** How long something may take before a spinner is worth its import, and a line worth its place in a log. */
const SPINNER_AFTER_MS = 400
const LINE_AFTER_MS = 1000

/**
 * Tells on stderr what is being done: a spinner on a terminal, a line for each longer step elsewhere
 * (a spinner in a CI log is noise, but silence for a minute looks like a hang), nothing with --json or --quiet.
 */
export function createProgress(
  out: Output,
  { animated, silent, color }: { animated: boolean; silent: boolean; color: boolean },
): (text: string) => Progress {
  return (first) => {
    if (silent) return { say() {}, stop() {} }
    if (!animated) {
      let timer: NodeJS.Timeout | undefined
      let said = ''
      const say = (text: string) => {
        if (text === said) return
        said = text
        clearTimeout(timer)
        timer = setTimeout(() => out.note(`${text}…`), LINE_AFTER_MS)
      }
      say(first)
      return { say, stop: () => clearTimeout(timer) }
    }
    let text = first
    let stopped = false
    let spinner: { text: string; stop(): unknown } | undefined
    const timer = setTimeout(async () => {
      const { default: ora } = await import('ora')
      // Keys typed meanwhile stay for the next prompt, and Ctrl-C keeps its meaning.
      if (!stopped)
        spinner = ora({ text, stream: process.stderr, discardStdin: false, color: color && 'cyan' }).start()
    }, SPINNER_AFTER_MS)
    return {
      say(now) {
        text = now
        if (spinner) spinner.text = now
      },
      stop() {
        stopped = true
        clearTimeout(timer)
        spinner?.stop()
      },
    }
  }
}
