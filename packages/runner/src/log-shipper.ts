import type { LogLine } from '@agentctl/contract/runner.ts'
import { BackOff } from './back-off.ts'
import { type OwnLog, reasonOf } from './own-log.ts'
import { Refusal, type ServerClient } from './server-client.ts'
import { readState, writeState } from './state-file.ts'

const BATCH_LINES = 200
const BATCH_CHARACTERS = 512 * 1024
const BATCH_MS = 100
const BUFFER_LINES = 10_000
const BUFFER_CHARACTERS = 8 * 1024 * 1024
const LINE_CHARACTERS = 16_384
/** Sequence numbers are reserved on disk in blocks, so that a killed runner never gives one out twice. */
const SEQUENCE_BLOCK = 10_000

/**
 * Hands log lines to the server in batches, in order, each batch until it is taken. What does not fit into the buffer
 * while the server is away is dropped, the oldest first, and a line says how many.
 */
export class LogShipper {
  readonly #server: ServerClient
  readonly #sequenceFile: string
  readonly #log: OwnLog
  #lines: LogLine[] = []
  #characters = 0
  #dropped = 0
  #sequence: number
  #reserved = 0
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined
  #stopped = false

  constructor(server: ServerClient, sequenceFile: string, log: OwnLog) {
    this.#server = server
    this.#sequenceFile = sequenceFile
    this.#log = log
    // The clock makes up for a lost file (tmpfs after a reboot), the file for a clock that was set back.
    this.#sequence = Math.max(Number(readState(sequenceFile)) || 0, Date.now() * 1000)
  }

  push(stream: LogLine['stream'], releaseId: string | null, text: string): void {
    const at = new Date().toISOString()
    for (const piece of pieces(text)) {
      this.#add({ sequence: this.#nextSequence(), at, stream, releaseId, text: piece })
    }
    if (this.#lines.length >= BATCH_LINES) this.#send()
    else this.#timer ??= setTimeout(() => this.#send(), BATCH_MS)
  }

  /** Sends what is left, for at most `ms`. */
  async flush(ms: number): Promise<void> {
    const deadline = Date.now() + ms
    this.#send()
    while (this.#sending && Date.now() < deadline) {
      await Promise.race([this.#sending, new Promise((resolve) => setTimeout(resolve, 50))])
    }
    this.#stopped = true
  }

  #nextSequence(): number {
    this.#sequence++
    if (this.#sequence > this.#reserved) {
      this.#reserved = this.#sequence + SEQUENCE_BLOCK
      writeState(this.#sequenceFile, String(this.#reserved))
    }
    return this.#sequence
  }

  #add(line: LogLine): void {
    this.#lines.push(line)
    this.#characters += line.text.length
    if (this.#lines.length <= BUFFER_LINES && this.#characters <= BUFFER_CHARACTERS) return
    // A tenth at once: dropping one by one would move the whole buffer for every line.
    let count = 0
    let characters = 0
    while (
      count < this.#lines.length - 1 &&
      (this.#lines.length - count > BUFFER_LINES * 0.9 ||
        this.#characters - characters > BUFFER_CHARACTERS * 0.9)
    ) {
      characters += this.#lines[count]?.text.length ?? 0
      count++
    }
    this.#lines.splice(0, count)
    this.#characters -= characters
    this.#dropped += count
  }

  #send(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined
      if (this.#lines.length > 0) this.#timer ??= setTimeout(() => this.#send(), BATCH_MS)
    })
  }

  async #sendAll(): Promise<void> {
    while (this.#lines.length > 0 && !this.#stopped) {
      await this.#deliver(this.#takeBatch())
    }
  }

  /** Takes lines out of the buffer: while they travel they cannot be dropped, so a repetition is the same batch. */
  #takeBatch(): LogLine[] {
    const batch: LogLine[] = []
    if (this.#dropped > 0) {
      const [first] = this.#lines
      // The number of the newest dropped line, the one before the first that is left, is free to be used.
      batch.push({
        sequence: (first?.sequence ?? this.#nextSequence() + 1) - 1,
        at: first?.at ?? new Date().toISOString(),
        stream: 'platform',
        releaseId: null,
        text: `${this.#dropped} log lines were dropped: they came faster than they could be sent`,
      })
      this.#dropped = 0
    }
    let characters = 0
    let count = 0
    for (const line of this.#lines) {
      if (
        batch.length >= BATCH_LINES ||
        (characters > 0 && characters + line.text.length > BATCH_CHARACTERS)
      ) {
        break
      }
      batch.push(line)
      characters += line.text.length
      count++
    }
    this.#lines.splice(0, count)
    this.#characters -= characters
    return batch
  }

  async #deliver(lines: LogLine[]): Promise<void> {
    const backOff = new BackOff(250, 5000)
    while (!this.#stopped) {
      try {
        await this.#server.post('/v1/runner/logs', { lines })
        return
      } catch (error) {
        if (error instanceof Refusal && !error.passing) {
          this.#log(`the server refuses log lines, dropped ${lines.length}: ${reasonOf(error)}`)
          return
        }
        await backOff.wait()
      }
    }
  }
}

/** Cuts a line that is too long, never inside a character, and replaces NUL, which no database text can hold. */
function* pieces(line: string): Generator<string> {
  const text = line.replaceAll('\0', '\uFFFD')
  let start = 0
  do {
    let end = Math.min(start + LINE_CHARACTERS, text.length)
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--
    yield text.slice(start, end)
    start = end
  } while (start < text.length)
}
