import { BlockList, isIPv6 } from 'node:net'
import type { Finding } from '@agentctl/contract/domains.ts'
import type { Deps } from '../deps.ts'
import type { CaaPolicy, LiveDns, Lookup } from '../providers/dns/live-dns.ts'
import { isApex } from './hostnames.ts'
import { targetOf } from './records.ts'
import type { DomainRow } from './store.ts'

/** The authority of which Cloudflare takes certificates for customers' names unless told otherwise. */
const AUTHORITY = 'pki.goog'

/** Cloudflare's addresses, as it publishes them: behind them a proxied name hides where it leads. */
const CLOUDFLARE = new BlockList()
for (const [address, bits] of [
  ...(['173.245.48.0/20', '103.21.244.0/22', '103.22.200.0/22', '103.31.4.0/22', '141.101.64.0/18'] as const),
  ...([
    '108.162.192.0/18',
    '190.93.240.0/20',
    '188.114.96.0/20',
    '197.234.240.0/22',
    '198.41.128.0/17',
  ] as const),
  ...(['162.158.0.0/15', '104.16.0.0/13', '104.24.0.0/14', '172.64.0.0/13', '131.0.72.0/22'] as const),
  ...(['2400:cb00::/32', '2606:4700::/32', '2803:f800::/32', '2405:b500::/32', '2405:8100::/32'] as const),
  ...(['2a06:98c0::/29', '2c0f:f248::/32'] as const),
].map((range) => range.split('/'))) {
  CLOUDFLARE.addSubnet(address ?? '', Number(bits), address?.includes(':') ? 'ipv6' : 'ipv4')
}

type Asked = Pick<DomainRow, 'hostname' | 'agentLabel' | 'ownership'>

export interface DnsSight {
  findings: Finding[]
  /** Unknown when DNS could not be asked. */
  leadsHere: boolean | 'unknown'
}

/** Compares live DNS with what should be there, record by record. */
export async function lookAtDns(deps: Pick<Deps, 'config' | 'liveDns'>, domain: Asked): Promise<DnsSight> {
  const [leading, caa] = await Promise.all([lookAtWay(deps, domain), deps.liveDns.findCaa(domain.hostname)])
  const forbidden = caaFinding(domain.hostname, caa)
  const findings = forbidden ? [...leading, forbidden] : leading
  const unanswered = leading.some(({ state }) => state === 'not_answered')
  const wrong = leading.some(({ state }) => state !== 'right' && state !== 'not_answered')
  return { findings, leadsHere: wrong ? false : unanswered ? 'unknown' : true }
}

/** Where the name leads, and at an apex also whose it is. */
async function lookAtWay(deps: Pick<Deps, 'config' | 'liveDns'>, domain: Asked): Promise<Finding[]> {
  const { liveDns } = deps
  const { hostname } = domain
  const target = targetOf(deps, domain)
  const cname = { type: 'CNAME', name: hostname, expected: target } as const
  const chain = await liveDns.findCnameChain(hostname)
  if (chain.state === 'unavailable') return [{ ...cname, ...notAnswered(hostname) }]
  if (chain.state === 'found') {
    if (chain.value.includes(target)) return [right(cname)]
    const found = chain.value.slice(0, 1)
    return [
      {
        ...cname,
        state: 'other_value',
        found,
        message: `${hostname} is a CNAME for ${found[0]} instead of ${target}.`,
        fix: `Change its CNAME to ${target}.`,
      },
    ]
  }
  const [addresses, edge, apex] = await Promise.all([
    liveDns.findAddresses(hostname),
    liveDns.findAddresses(target),
    isApex(hostname) ? true : isTopOfZone(liveDns, hostname),
  ])
  if (addresses.state === 'unavailable') return [{ ...cname, ...notAnswered(hostname) }]
  if (addresses.state === 'absent') {
    const how = apex ? ', as a flattened CNAME (some call it ALIAS or ANAME)' : ''
    return [
      {
        ...cname,
        state: 'missing',
        found: [],
        message: `${hostname} is not there.`,
        fix: `Create the CNAME ${hostname} for ${target}${how}.`,
      },
      ...(apex ? await lookAtOwnership(liveDns, domain) : []),
    ]
  }
  if (edge.state !== 'found') return [{ ...cname, ...notAnswered(target) }]
  if (addresses.value.some((address) => edge.value.includes(address))) {
    const strangers = addresses.value.filter((address) => !edge.value.includes(address))
    // Only addresses are seen, and every name of ours has the same: the TXT record says whose this one is.
    const ownership = await lookAtOwnership(liveDns, domain)
    return [strangers.length > 0 ? partlyElsewhere(cname, strangers, apex) : right(cname), ...ownership]
  }
  if (addresses.value.some(isCloudflare)) return [proxied(cname, addresses.value)]
  if (apex) {
    return [
      {
        ...cname,
        state: 'needs_flattening',
        found: addresses.value,
        message: `${hostname} is the apex of its zone and leads to ${addresses.value.join(', ')}.`,
        fix: `A CNAME cannot be there: flatten one for ${target} (some call it ALIAS or ANAME), or attach www.${hostname} and redirect to it.`,
      },
      ...(await lookAtOwnership(liveDns, domain)),
    ]
  }
  return [elsewhere(cname, addresses.value)]
}

type Expected = Pick<Finding, 'type' | 'name' | 'expected'>

function right(expected: Expected): Finding {
  return {
    ...expected,
    state: 'right',
    found: expected.expected === null ? [] : [expected.expected],
    message: `${expected.name} is right.`,
    fix: null,
  }
}

function notAnswered(name: string): Pick<Finding, 'state' | 'found' | 'message' | 'fix'> {
  return {
    state: 'not_answered',
    found: [],
    message: `DNS could not be asked about ${name}.`,
    fix: 'Try again in a minute. If it stays, the name servers of the zone do not answer.',
  }
}

function elsewhere(cname: Expected, found: string[]): Finding {
  return {
    ...cname,
    state: 'other_value',
    found,
    message: `${cname.name} leads to ${found.join(', ')} instead of ${cname.expected}.`,
    fix: `Remove its A and AAAA records, and create the CNAME ${cname.name} for ${cname.expected}.`,
  }
}

/** Some of its visitors would not come to us. At an apex what leads here is right, and only the rest has to go. */
function partlyElsewhere(cname: Expected, found: string[], apex: boolean): Finding {
  const wrong = elsewhere(cname, found)
  return {
    ...wrong,
    message: `${cname.name} leads to ${found.join(', ')} besides ${cname.expected}.`,
    fix: apex ? `Remove its records for ${found.join(', ')}.` : wrong.fix,
  }
}

function proxied(cname: Expected, found: string[]): Finding {
  return {
    ...cname,
    state: 'proxied',
    found,
    message: `A proxy of Cloudflare that is not ours answers for ${cname.name}, with ${found.join(', ')}.`,
    fix: `At Cloudflare, set the record of ${cname.name} to "DNS only" (a grey cloud), as a CNAME for ${cname.expected}.`,
  }
}

function isCloudflare(address: string): boolean {
  return CLOUDFLARE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

async function isTopOfZone(liveDns: LiveDns, hostname: string): Promise<boolean> {
  const apex = await liveDns.isApex(hostname)
  return apex.state === 'found' && apex.value
}

async function lookAtOwnership(liveDns: LiveDns, { hostname, ownership }: Asked): Promise<Finding[]> {
  if (!ownership) return []
  const expected = { type: 'TXT', name: ownership.name, expected: ownership.value } as const
  const texts = await liveDns.findTexts(ownership.name)
  if (texts.state === 'unavailable') return [{ ...expected, ...notAnswered(ownership.name) }]
  if (texts.state === 'found' && texts.value.includes(ownership.value)) return [right(expected)]
  const found = texts.state === 'found' ? texts.value : []
  return [
    {
      ...expected,
      state: found.length > 0 ? 'other_value' : 'missing',
      found,
      message:
        found.length > 0
          ? `The TXT record ${ownership.name} has another value: ${found.join(', ')}.`
          : `The TXT record ${ownership.name}, which shows that ${hostname} is yours, is not there.`,
      fix: `Create the TXT record ${ownership.name} with the value ${ownership.value}.`,
    },
  ]
}

/** Undefined where every authority may issue. One that cannot be asked is the provider's to find out about. */
function caaFinding(hostname: string, caa: Lookup<CaaPolicy>): Finding | undefined {
  if (caa.state !== 'found') return undefined
  const issuers = caa.value.records.filter(({ tag }) => tag.toLowerCase() === 'issue')
  if (issuers.length === 0) return undefined
  const allowed = issuers.map(({ value }) => value.split(';')[0]?.trim().toLowerCase() ?? '')
  if (allowed.includes(AUTHORITY)) return undefined
  const found = issuers.map(({ value }) => `0 issue "${value}"`)
  return {
    type: 'CAA',
    name: caa.value.at,
    state: 'caa_forbids',
    expected: `0 issue "${AUTHORITY}"`,
    found,
    message: `The CAA records of ${caa.value.at} forbid the certificate of ${hostname}: they allow ${allowed.filter((one) => one !== '').join(', ') || 'nobody'}.`,
    fix: `Add this CAA record at ${caa.value.at}: 0 issue "${AUTHORITY}"`,
  }
}
