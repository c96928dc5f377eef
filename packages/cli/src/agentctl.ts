import { writeSync } from 'node:fs'
import module from 'node:module'

// What is asked for most often is answered before anything is loaded: this file is all that runs.
// Both texts are put in when the program is built.
declare const AGENTCTL_VERSION: string
declare const AGENTCTL_HELP: string

const [first, ...others] = process.argv.slice(2)
if (first === undefined || (others.length === 0 && /^(--help|-h|help)$/.test(first))) {
  say(AGENTCTL_HELP)
} else if (others.length === 0 && /^(--version|-V)$/.test(first)) {
  say(`${AGENTCTL_VERSION}\n`)
} else {
  module.enableCompileCache?.()
  const { main }: typeof import('./main.ts') = require('./main.cjs')
  main(__dirname)
}

/** Making `process.stdout` takes a tenth of the whole start; it is left to a pipe that is full. */
function say(text: string): void {
  const bytes = Buffer.from(text)
  let written = 0
  try {
    written = writeSync(1, bytes)
  } catch (error) {
    // A reader that left, as `head` does, has read enough.
    if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return
  }
  if (written < bytes.length) process.stdout.write(bytes.subarray(written))
}
