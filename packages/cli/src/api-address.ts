import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Failure } from './failure.ts'
import { isLoopback } from './loopback-names.ts'

export const DEFAULT_API_URL = 'https://api.agentctl.dev'

export interface ApiAddress {
  url: string
  /** Where it was found, in words. */
  source: string
}

/** A cloud on this machine that stands nearer than any login: above the current folder, or in this checkout. */
export interface LocalCloud extends ApiAddress {
  /** Where the CLI keeps what belongs to this cloud alone. */
  configDirectory: string
}

/** The address of a local cloud, from the file that it keeps. */
function readLocalAddress(path: string): string | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value !== 'object' || value === null || !('apiUrl' in value)) return undefined
    // A folder that was downloaded may hold such a file too: it must not get to say
    // where keys are sent, so only an address on this very machine counts.
    return typeof value.apiUrl === 'string' && isLoopback(new URL(value.apiUrl)) ? value.apiUrl : undefined
  } catch {
    return undefined
  }
}

export interface AddressSources {
  option: string | undefined
  env: Record<string, string | undefined>
  local: LocalCloud | undefined
  saved(): string | undefined
}

/** Undefined as well where the address is said outright: then no cloud is looked for. */
export function findLocalCloud(from: {
  option: string | undefined
  env: Record<string, string | undefined>
  cwd: string
  /** Folder of the running program; inside a checkout its local cloud is found from here. */
  programDirectory: string
}): LocalCloud | undefined {
  const { option, env, cwd, programDirectory } = from
  if (option !== undefined || env.AGENTCTL_API_URL) return undefined
  const candidates = env.AGENTCTL_DATA_DIR ? [env.AGENTCTL_DATA_DIR] : []
  for (let directory = cwd; ; directory = dirname(directory)) {
    candidates.push(join(directory, '.agentctl'))
    if (directory === dirname(directory)) break
  }
  candidates.push(join(programDirectory, '..', '..', '..', '.agentctl'))
  for (const directory of candidates) {
    const source = join(directory, 'local.json')
    const url = readLocalAddress(source)
    if (url !== undefined)
      return { url: checked(url, source), source, configDirectory: join(directory, 'cli') }
  }
  return undefined
}

export function findApiAddress({ option, env, local, saved }: AddressSources): ApiAddress {
  if (option !== undefined) return { url: checked(option, '--api-url'), source: '--api-url' }
  if (env.AGENTCTL_API_URL) {
    return { url: checked(env.AGENTCTL_API_URL, 'AGENTCTL_API_URL'), source: 'AGENTCTL_API_URL' }
  }
  if (local) return local
  const last = saved()
  return last === undefined
    ? { url: DEFAULT_API_URL, source: 'the default' }
    : { url: last, source: 'your last login' }
}

function checked(text: string, where: string): string {
  const url = URL.parse(text)
  if (url && (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '') {
    return url.href.replace(/\/+$/, '')
  }
  throw new Failure('usage', `${where} is not an http or https address: '${text}'`, {
    fix: `Give one such as ${DEFAULT_API_URL}`,
  })
}
