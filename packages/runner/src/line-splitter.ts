import { StringDecoder } from 'node:string_decoder'

/** A line without an end is passed on in pieces of this size, so that it cannot fill the memory. */
const PENDING_CHARACTERS = 64 * 1024

/** Turns the bytes of a stream into lines. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8')
  readonly #onLine: (line: string) => void
  #pending = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  write(chunk: Buffer): void {
    const lines = (this.#pending + this.#decoder.write(chunk)).split('\n')
    this.#pending = lines.pop() ?? ''
    for (const line of lines) this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line)
    if (this.#pending.length > PENDING_CHARACTERS) {
      this.#onLine(this.#pending)
      this.#pending = ''
    }
  }

  end(): void {
    const rest = this.#pending + this.#decoder.end()
    this.#pending = ''
    if (rest !== '') this.#onLine(rest)
  }
}
