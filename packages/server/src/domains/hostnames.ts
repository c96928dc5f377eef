import { isIP } from 'node:net'
import { domainToASCII, domainToUnicode } from 'node:url'
import { parse } from 'tldts'
import type { Deps } from '../deps.ts'
import { Problem } from '../platform/problem.ts'

const LENGTH_MAX = 253
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** What ends a name in an address, or would be read as something else than a name. */
const NO_PART_OF_A_NAME = /[\s/\\?#@:%[\]<>^|"'`(){},;!$&=+~]/u

/** Scripts whose letters may stand beside each other in one label; others only look alike. */
const WRITTEN_TOGETHER: readonly (readonly string[])[] = [
  ['Latin', 'Han', 'Hiragana', 'Katakana'],
  ['Latin', 'Han', 'Bopomofo'],
  ['Latin', 'Han', 'Hangul'],
]
const LIKELY_SCRIPTS = [
  ...[
    'Latin',
    'Han',
    'Hiragana',
    'Katakana',
    'Bopomofo',
    'Hangul',
    'Cyrillic',
    'Greek',
    'Armenian',
    'Hebrew',
  ],
  ...['Arabic', 'Devanagari', 'Bengali', 'Tamil', 'Telugu', 'Thai', 'Lao', 'Khmer', 'Georgian', 'Ethiopic'],
].map((script) => ({ script, letter: new RegExp(`\\p{Script=${script}}`, 'u') }))

/**
 * A name of a user's own as DNS has it: lower case, letters beyond ASCII as A-labels (UTS 46), without the dot of the
 * root. Throws `invalid_hostname` for what is none, or cannot be a name of theirs.
 */
export function readHostname(said: string, { config }: Pick<Deps, 'config'>): string {
  const written = said.trim().replace(/\.$/, '')
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(written)) {
    throw refuse(said, 'is an address, not a name', `Give the name alone: ${hostOf(written)}`)
  }
  if (isIP(written.replace(/^\[(.*)\]$/, '$1')) !== 0) {
    throw refuse(said, 'is an IP address, and certificates are issued for names')
  }
  if (written.includes('*')) {
    throw refuse(
      said,
      'is a wildcard, and what it stands for could not be checked name by name',
      'Attach each name that you need: agentctl domains add bot.example.com',
    )
  }
  const hostname = NO_PART_OF_A_NAME.test(written) ? '' : domainToASCII(written)
  if (isIP(hostname) !== 0) throw refuse(said, 'is an IP address, and certificates are issued for names')
  if (hostname === '') throw refuse(said, written === '' ? 'is empty' : 'has characters that no name has')
  checkLabels(said, hostname)
  checkPlace(said, hostname, config)
  return hostname
}

/** Whether it is the name that its owner registered, where DNS has no room for a CNAME. */
export function isApex(hostname: string): boolean {
  return parse(hostname, { allowPrivateDomains: true }).domain === hostname
}

function checkLabels(said: string, hostname: string): void {
  if (hostname.length > LENGTH_MAX) throw refuse(said, `is longer than ${LENGTH_MAX} characters`)
  const labels = hostname.split('.')
  for (const label of labels) {
    if (label === '') throw refuse(said, 'has an empty part between two dots')
    if (label.length > 63) throw refuse(said, 'has a part that is longer than 63 characters')
    if (label.includes('_')) throw refuse(said, 'has an underscore, which a name of a website cannot have')
    if (!LABEL.test(label)) throw refuse(said, 'has a part that begins or ends with a hyphen')
    const shown = domainToUnicode(label)
    if (label.startsWith('xn--') && (shown === label || domainToASCII(shown) !== label)) {
      throw refuse(said, `has a part that is not valid Punycode: ${label}`)
    }
    const mixed = mixedScripts(shown)
    if (mixed) throw refuse(said, `mixes letters that look alike: ${mixed.join(' and ')} in one part`)
  }
  if (labels.length === 1) throw refuse(said, 'has no dot: a domain has at least two parts')
}

/** The scripts of a label when they are not written together; letters are no disguise for others. */
function mixedScripts(label: string): string[] | undefined {
  const found = LIKELY_SCRIPTS.filter(({ letter }) => letter.test(label)).map(({ script }) => script)
  if (found.length < 2) return undefined
  return WRITTEN_TOGETHER.some((set) => found.every((script) => set.includes(script))) ? undefined : found
}

function checkPlace(said: string, hostname: string, config: Deps['config']): void {
  if (ourNames(config).some((name) => isUnder(hostname, name.toLowerCase()))) {
    throw refuse(
      said,
      'belongs to this service',
      'An agent has its own address here anyway: agentctl agents show NAME',
    )
  }
  const { isIcann, isPrivate, domain, publicSuffix } = parse(hostname, { allowPrivateDomains: true })
  // The list of public endings has .onion, but no DNS does.
  if ((!isIcann && !isPrivate) || publicSuffix === 'onion') {
    throw refuse(
      said,
      `ends in .${publicSuffix ?? hostname}, which is not a public ending: nobody else could reach it`,
    )
  }
  if (domain === null) throw refuse(said, 'is a public ending under which others have their names')
}

/** The service's own names: those of agents, the zone that they are in, and the domain of its API. */
function ourNames({ apiUrl, agentDomain, cloudflare }: Deps['config']): string[] {
  const { hostname } = new URL(apiUrl)
  const isAddress = isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0
  return [
    agentDomain,
    ...(cloudflare ? [cloudflare.zoneName] : []),
    ...(isAddress ? [] : [parse(hostname, { allowPrivateDomains: true }).domain ?? hostname]),
  ]
}

const isUnder = (hostname: string, name: string): boolean =>
  hostname === name || hostname.endsWith(`.${name}`)

function hostOf(address: string): string {
  return address.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').split(/[/?#:]/)[0] || 'bot.example.com'
}

function refuse(said: string, why: string, fix?: string): Problem {
  const shown = said.length > 80 ? `${said.slice(0, 80)}…` : said.trim() || 'The name'
  return new Problem('invalid_hostname', `${shown} ${why}.`, fix === undefined ? {} : { fix })
}

/** As people write it; what DNS has in its place is added where that differs. */
export function shownName(hostname: string): string {
  const unicode = domainToUnicode(hostname)
  return unicode === '' || unicode === hostname ? hostname : `${unicode} (${hostname})`
}
