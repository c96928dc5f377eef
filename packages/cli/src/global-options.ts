import { flag, option, unless } from './command.ts'

/** Options that every command takes, anywhere on the line. */
export const globalOptions = {
  json: flag('--json', 'one JSON document on stdout, errors as JSON on stderr'),
  namespace: option('-n, --namespace <name>', 'namespace to work in'),
  apiUrl: option('--api-url <url>', 'address of the API'),
  input: unless('--no-input', 'never ask; a missing answer is exit 2'),
  quiet: flag('-q, --quiet', 'results only, no talk'),
  debug: flag('--debug', 'show requests and timings, never secrets'),
  color: unless('--no-color', 'plain text'),
}

export interface GlobalValues {
  json: boolean
  namespace: string | undefined
  apiUrl: string | undefined
  input: boolean
  quiet: boolean
  debug: boolean
  color: boolean
}
