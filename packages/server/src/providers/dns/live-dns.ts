import type { CaaRecord } from 'node:dns'
import { Resolver } from 'node:dns/promises'

/** What a question came to. Not there and could not be asked are different things to a user who waits. */
export type Lookup<Value> =
  | { state: 'found'; value: Value }
  | { state: 'absent' }
  | { state: 'unavailable'; reason: 'timeout' | 'servers_failed' | 'refused' }

export interface CaaPolicy {
  /** The name whose records hold: the asked one, or the nearest above it that has any. */
  at: string
  records: { critical: boolean; tag: string; value: string }[]
}

/** The DNS as the rest of the world sees it at this moment. Names are in ASCII, lower case, without the last dot. */
export interface LiveDns {
  /** Each name that the one before it stands for, the asked one left out. */
  findCnameChain(name: string): Promise<Lookup<string[]>>
  /** IPv4 and IPv6, whatever CNAMEs lie between. */
  findAddresses(name: string): Promise<Lookup<string[]>>
  findTexts(name: string): Promise<Lookup<string[]>>
  /** RFC 8659: what certificate authorities are told; they climb until they find something. */
  findCaa(name: string): Promise<Lookup<CaaPolicy>>
  /** Whether the name is the top of a zone, where no CNAME may stand. */
  isApex(name: string): Promise<Lookup<boolean>>
}

const TIMEOUT_MS = 2_000
const TRIES = 2
const CHAIN_MAX = 10

/** `servers`: addresses with an optional port; none means those of this machine. */
export function openLiveDns(servers: readonly string[]): LiveDns {
  const ask = async <Value>(question: (resolver: Resolver) => Promise<Value>): Promise<Lookup<Value>> => {
    // One for each question: a resolver keeps answers, and what a user has just changed must be seen.
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
    if (servers.length > 0) resolver.setServers(servers)
    try {
      return { state: 'found', value: await question(resolver) }
    } catch (error) {
      return failureOf(error)
    }
  }
  const findCname = async (name: string): Promise<Lookup<string>> => {
    const found = await ask((resolver) => resolver.resolveCname(name))
    if (found.state !== 'found') return found
    const [target] = found.value
    return target === undefined ? { state: 'absent' } : { state: 'found', value: asciiName(target) }
  }

  return {
    async findCnameChain(name) {
      const chain: string[] = []
      for (let at = name; chain.length < CHAIN_MAX; ) {
        const next = await findCname(at)
        if (next.state === 'unavailable') return next
        if (next.state === 'absent' || chain.includes(next.value)) break
        chain.push(next.value)
        at = next.value
      }
      return chain.length === 0 ? { state: 'absent' } : { state: 'found', value: chain }
    },
    async findAddresses(name) {
      const both = await Promise.all([
        ask((resolver) => resolver.resolve4(name)),
        ask((resolver) => resolver.resolve6(name)),
      ])
      const value = both.flatMap((one) => (one.state === 'found' ? one.value : []))
      if (value.length > 0) return { state: 'found', value }
      return both.find((one) => one.state === 'unavailable') ?? { state: 'absent' }
    },
    async findTexts(name) {
      const found = await ask((resolver) => resolver.resolveTxt(name))
      // A long text travels in parts.
      return found.state === 'found' ? { ...found, value: found.value.map((parts) => parts.join('')) } : found
    },
    async findCaa(name) {
      const labels = name.split('.')
      for (let from = 0; from < labels.length; from++) {
        const at = labels.slice(from).join('.')
        const found = await ask((resolver) => resolver.resolveCaa(at))
        if (found.state === 'unavailable') return found
        if (found.state === 'found' && found.value.length > 0) {
          return { state: 'found', value: { at, records: found.value.map(caaOf) } }
        }
      }
      return { state: 'absent' }
    },
    async isApex(name) {
      // A CNAME is followed by whoever is asked, and the answer would be about another name.
      const cname = await findCname(name)
      if (cname.state === 'unavailable') return cname
      if (cname.state === 'found') return { state: 'found', value: false }
      const start = await ask((resolver) => resolver.resolveSoa(name))
      return start.state === 'unavailable' ? start : { state: 'found', value: start.state === 'found' }
    },
  }
}

function failureOf(error: unknown): Exclude<Lookup<never>, { state: 'found' }> {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOTFOUND' || code === 'ENODATA') return { state: 'absent' }
  // A name that no DNS message can carry is nowhere.
  if (code === 'EBADNAME') return { state: 'absent' }
  if (code === 'ETIMEOUT') return { state: 'unavailable', reason: 'timeout' }
  if (code === 'EREFUSED' || code === 'ECONNREFUSED') return { state: 'unavailable', reason: 'refused' }
  return { state: 'unavailable', reason: 'servers_failed' }
}

function asciiName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function caaOf({ critical, ...tagged }: CaaRecord): CaaPolicy['records'][number] {
  const [[tag, value] = ['', '']] = Object.entries(tagged).filter(([name]) => name !== 'type')
  return { critical: critical !== 0, tag, value: String(value) }
}
