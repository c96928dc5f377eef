import module from 'node:module'

// What is asked for most often is answered before anything is loaded: this file is all that runs.
// Both texts are put in when the program is built.
declare const AGENTCTL_VERSION: string
declare const AGENTCTL_HELP: string

const [first, ...others] = process.argv.slice(2)
if (first === undefined || (others.length === 0 && /^(--help|-h|help)$/.test(first))) {
  process.stdout.write(AGENTCTL_HELP)
} else if (others.length === 0 && /^(--version|-V)$/.test(first)) {
  process.stdout.write(`${AGENTCTL_VERSION}\n`)
} else {
  module.enableCompileCache?.()
  const { main }: typeof import('./main.ts') = require('./main.cjs')
  main(__dirname)
}
