import { styleText } from 'node:util'
import { exitCodeOf, type Failure } from './failure.ts'
import { WIDTH } from './wrapped-text.ts'

export interface Stream {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

export interface OutputSettings {
  json: boolean
  quiet: boolean
  debug: boolean
  /** Colour on stderr and stdout, already decided. */
  color: boolean
  stdout: Stream
  stderr: Stream
}

export type Output = ReturnType<typeof createOutput>

/** Tokens and private keys, should one ever get into a message. */
const redact = (text: string): string =>
  text
    .replace(/actl_([a-z])_[0-9A-Za-z]{6,}/g, 'actl_$1_[redacted]')
    .replace(/\b(0x)?[0-9a-fA-F]{64}\b/g, '[redacted]')

/** What a person sees must not move their cursor or fake other lines: control characters are shown, not obeyed. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this removes.
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u{fffd}')

/** The only writer of stdout and stderr: data to stdout, talk to stderr, and with --json exactly one document. */
export function createOutput({ json, quiet, debug, color, stdout, stderr }: OutputSettings) {
  let documents = 0
  const style = (format: Parameters<typeof styleText>[0], text: string): string =>
    color ? styleText(format, text, { validateStream: false }) : text

  function printDocument(value: unknown) {
    if (documents++ > 0) throw new Error('a command printed two JSON documents')
    stdout.write(`${JSON.stringify(value, null, 2)}\n`)
  }

  return {
    json,
    style,

    /** The result of a command: the value for programs, the sentence (or lines of a table, no wider than this) for people. */
    result<T>(value: T, sentence: string | ((value: T, width: number) => string)) {
      if (json) return printDocument(value)
      const width = stdout.isTTY ? stdout.columns || WIDTH : Number.POSITIVE_INFINITY
      const text = typeof sentence === 'string' ? sentence : sentence(value, width)
      if (text !== '') stdout.write(`${text}\n`)
    },

    /** One line of a stream of results; with --json one JSON object a line. */
    line<T>(value: T, sentence: (value: T) => string) {
      stdout.write(`${json ? JSON.stringify(value) : sentence(value)}\n`)
    },

    /** A document or script that is the same for people and programs. */
    raw(text: string) {
      documents++
      stdout.write(text.endsWith('\n') ? text : `${text}\n`)
    },

    /** Talk; silent with --quiet, and with --json, where stderr holds at most one error object. */
    note(text: string) {
      if (!json && !quiet) stderr.write(`${text}\n`)
    },

    /** Something that a person has to have seen; --quiet does not silence it. */
    notice(text: string) {
      if (!json) stderr.write(`${text}\n`)
    },

    debug(text: string) {
      if (debug) stderr.write(`${style('dim', `debug: ${redact(text)}`)}\n`)
    },

    failure(failure: Failure) {
      const { code, fix, requestId, next } = failure
      if (debug) {
        for (let error: unknown = failure; error instanceof Error; error = error.cause) {
          stderr.write(`${style('dim', redact(error.stack ?? error.message))}\n`)
        }
      }
      // Refusals quote what was typed or told.
      const message = printable(redact(failure.message))
      if (json) {
        if (failure.document !== undefined && documents === 0) printDocument(failure.document)
        stderr.write(`${JSON.stringify({ error: { code, message, fix, requestId, next } })}\n`)
        return
      }
      if (code === 'interrupted') {
        stderr.write(`${message}\n`)
        if (fix !== '') stderr.write(`${fix}\n`)
        return
      }
      stderr.write(`${style('red', 'error:')} ${message}\n`)
      if (fix !== '') stderr.write(`${fix}\n`)
      for (const command of next) if (!fix.includes(command)) stderr.write(`  ${command}\n`)
      if (requestId !== null && exitCodeOf(code) === 7) stderr.write(`request: ${requestId}\n`)
    },
  }
}
