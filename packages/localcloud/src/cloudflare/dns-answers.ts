import type { Answer, CaaData } from 'dns-packet'
import type { CloudflareState, RecordSet, RecordType } from './cloudflare-state.ts'

/** What a resolver that knows the whole world of the local cloud says about a name. */
export interface DnsAnswer {
  rcode: 'NOERROR' | 'NXDOMAIN' | 'SERVFAIL'
  answers: Answer[]
  authorities: Answer[]
}

/** The edge listens here; a proxied record leads nowhere else. */
export const EDGE_ADDRESS = '127.0.0.1'

type World = Pick<CloudflareState, 'records' | 'elsewhere'>

const CHAIN_MAX = 10
const TTL = 60
const NAME_SERVERS = ['ns1.dns.example', 'ns2.dns.example']

/** Follows CNAMEs like a resolver; the zone's own records come first, then those of the rest of the world. */
export function answerFrom(zoneName: string, world: World, asked: string, type: string): DnsAnswer {
  const answers: Answer[] = []
  let name = plainName(asked)
  for (let step = 0; step < CHAIN_MAX; step++) {
    const sets = recordsAt(zoneName, world, name)
    const wanted = sets.filter((set) => set.type === type)
    const cname = sets.find((set) => set.type === 'CNAME')
    if (wanted.length > 0) {
      answers.push(...wanted.flatMap((set) => set.values.map((value) => recordOf(set.name, set.type, value))))
      return { rcode: 'NOERROR', answers, authorities: [] }
    }
    if (!cname?.values[0]) {
      const start = startOf(zoneName, world, name)
      if (start === name && type === 'SOA') answers.push(startRecord(start))
      if (start === name && type === 'NS') answers.push(...NAME_SERVERS.map((one) => nsRecord(name, one)))
      if (answers.some((answer) => answer.type === type)) {
        return { rcode: 'NOERROR', answers, authorities: [] }
      }
      const rcode = sets.length > 0 || isThere(zoneName, world, name) ? 'NOERROR' : 'NXDOMAIN'
      return { rcode, answers, authorities: [startRecord(start)] }
    }
    answers.push(recordOf(name, 'CNAME', cname.values[0]))
    name = plainName(cname.values[0])
  }
  return { rcode: 'SERVFAIL', answers: [], authorities: [] }
}

export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

export function isUnder(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`)
}

function recordsAt(zoneName: string, world: World, name: string): RecordSet[] {
  if (!isUnder(name, zoneName)) return world.elsewhere.filter((set) => set.name === name)
  const exact = world.records.filter((record) => record.name === name)
  const star = `*.${name.split('.').slice(1).join('.')}`
  const found = exact.length > 0 ? exact : world.records.filter((record) => record.name === star)
  return found.map((record): RecordSet => {
    // Whatever a proxied record says, visitors are shown the edge.
    if (record.proxied) return { name, type: 'A', values: [EDGE_ADDRESS] }
    return { name, type: record.type, values: [record.content] }
  })
}

/** The name is there, or another one below it. */
function isThere(zoneName: string, world: World, name: string): boolean {
  const names = [zoneName, ...world.records.map((one) => one.name), ...world.elsewhere.map((one) => one.name)]
  return names.some((one) => isUnder(one, name)) || startOf(zoneName, world, name) === name
}

/**
 * The top of the zone that holds the name: where somebody has put NS records, else what one would register under a
 * plain top-level domain.
 */
function startOf(zoneName: string, world: World, name: string): string {
  if (isUnder(name, zoneName)) return zoneName
  const delegated = world.elsewhere.filter((set) => set.type === 'NS' && isUnder(name, set.name))
  const [nearest] = delegated.map((set) => set.name).sort((a, b) => b.length - a.length)
  if (nearest !== undefined) return nearest
  const registered = name.split('.').slice(-2).join('.')
  const isKnown = world.elsewhere.some((set) => isUnder(set.name, registered))
  return isKnown ? registered : (name.split('.').at(-1) ?? '')
}

function recordOf(name: string, type: RecordType, value: string): Answer {
  switch (type) {
    case 'TXT':
      return { name, type, ttl: TTL, data: value.match(/.{1,255}/gs) ?? [''] }
    case 'CAA':
      return { name, type, ttl: TTL, data: caaOf(value) }
    default:
      return { name, type, ttl: TTL, data: value }
  }
}

/** `0 issue "pki.goog"`, as people write it. Undefined when it is not written so. */
export function readCaa(value: string): { flags: number; tag: string; value: string } | undefined {
  const [, flags, tag, quoted] = /^(\d{1,3})\s+([a-z0-9]{1,15})\s+"([^"]*)"$/i.exec(value) ?? []
  if (flags === undefined || tag === undefined || quoted === undefined || Number(flags) > 255)
    return undefined
  return { flags: Number(flags), tag: tag.toLowerCase(), value: quoted }
}

function caaOf(text: string): CaaData {
  const read = readCaa(text)
  if (!read) throw new Error(`"${text}" was kept as a CAA record.`)
  const { flags, tag, value } = read
  return { flags, tag: tag as CaaData['tag'], value, issuerCritical: flags >= 128 }
}

function nsRecord(name: string, data: string): Answer {
  return { name, type: 'NS', ttl: TTL, data }
}

function startRecord(name: string): Answer {
  const [mname = ''] = NAME_SERVERS
  const start = {
    mname,
    rname: 'hostmaster.dns.example',
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: 60,
  }
  return { name, type: 'SOA', ttl: TTL, data: start }
}
