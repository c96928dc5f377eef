import { keepFile, readKeptFile } from './kept-file.ts'

/** What a stand-in must still know after a restart: a value in memory and a file that is never half-written. */
export class KeptState<Value> {
  readonly value: Value
  private readonly file: string
  private last: string

  constructor(file: string, initial: Value) {
    this.file = file
    this.last = readKeptFile(file) ?? ''
    this.value = this.last === '' ? initial : { ...initial, ...JSON.parse(this.last) }
  }

  /** To be called after every change, before anybody is told about it. */
  save(): void {
    const text = JSON.stringify(this.value)
    if (text === this.last) return
    keepFile(this.file, text)
    this.last = text
  }
}
