import { z } from 'zod'
import { Name } from './agent-config.ts'
import { defineEndpoints } from './endpoint.ts'

const Time = z.iso.datetime()

/**
 * pending: its DNS does not lead here yet. verifying: it does, and the certificate or its first answer is awaited.
 * live: served over HTTPS, as our own probe has seen. failed: given up, `failure` says why. removed: gone.
 */
export const DomainStatus = z.enum(['pending', 'verifying', 'live', 'failed', 'removed'])
export type DomainStatus = z.infer<typeof DomainStatus>

/** A DNS record that the owner of a name creates. */
export const DnsRecord = z.strictObject({
  type: z.enum(['CNAME', 'TXT']),
  name: z.string(),
  value: z.string(),
})
export type DnsRecord = z.infer<typeof DnsRecord>

export const Domain = z.strictObject({
  id: z.string(),
  /** As DNS has it: lower case, letters beyond ASCII as A-labels (xn--…). */
  hostname: z.string(),
  agent: z.strictObject({ id: z.string(), name: z.string() }),
  namespace: z.string(),
  status: DomainStatus,
  /** What is awaited, in words; null where nothing is. */
  step: z.string().nullable(),
  /** What its owner creates in DNS. */
  records: z.array(DnsRecord),
  /** Where no CNAME can be: at the apex of a zone it has to be flattened, or called ALIAS or ANAME. */
  isApex: z.boolean(),
  failure: z.strictObject({ reason: z.string(), message: z.string() }).nullable(),
  certificate: z
    .strictObject({ status: z.string(), issuer: z.string().nullable(), expiresAt: Time.nullable() })
    .nullable(),
  createdAt: Time,
  /** When it was last looked at, by the service itself or because somebody asked. */
  checkedAt: Time.nullable(),
  liveAt: Time.nullable(),
  /** When it is given up unless it is live by then. */
  givenUpAt: Time.nullable(),
})
export type Domain = z.infer<typeof Domain>

/**
 * right: as it should be. missing: not there. other_value: something else is there. proxied: a proxy of somebody else
 * answers in its place. needs_flattening: a CNAME cannot be where it is. caa_forbids: no certificate may be issued.
 * not_answered: DNS could not be asked.
 */
export const FindingState = z.enum([
  'right',
  'missing',
  'other_value',
  'proxied',
  'needs_flattening',
  'caa_forbids',
  'not_answered',
])
export type FindingState = z.infer<typeof FindingState>

export const Finding = z.strictObject({
  /** What was asked about. */
  type: z.enum(['CNAME', 'TXT', 'CAA']),
  name: z.string(),
  state: FindingState,
  /** What should be there; null for CAA. */
  expected: z.string().nullable(),
  /** What is there. */
  found: z.array(z.string()),
  /** One sentence, and what to do about it where something is to be done. */
  message: z.string(),
  fix: z.string().nullable(),
})
export type Finding = z.infer<typeof Finding>

/** `:domain` is an id (dom_…) or the name itself. */
const inNamespace = z.strictObject({ namespace: Name.optional() })
const read = { scope: 'agents:read', role: 'viewer' } as const
const write = { scope: 'domains:write', role: 'developer' } as const

export const domainEndpoints = defineEndpoints({
  'GET /v1/domains': {
    id: 'listDomains',
    summary: 'Domains of an agent, of a namespace, or of all of yours',
    access: read,
    query: z.strictObject({ namespace: Name.optional(), agent: z.string().max(64).optional() }),
    response: z.strictObject({ domains: z.array(Domain) }),
  },
  'POST /v1/domains': {
    id: 'addDomain',
    summary: 'Attach a name of your own to an agent; the same again changes nothing',
    access: write,
    status: 201,
    body: z.strictObject({
      namespace: Name.optional(),
      agent: z.string().min(1).max(64),
      hostname: z.string().max(1024),
    }),
    response: Domain,
    problems: ['invalid_hostname', 'hostname_unavailable', 'domains_unavailable', 'conflict'],
    idempotencyKey: true,
  },
  'GET /v1/domains/:domain': {
    id: 'showDomain',
    summary:
      'One domain; with ?waitSeconds= answers when it changes from ?status= and ?step= or the time is up',
    access: read,
    query: z.strictObject({
      namespace: Name.optional(),
      waitSeconds: z.coerce.number().int().min(0).max(25).optional(),
      status: DomainStatus.optional(),
      step: z.string().optional(),
    }),
    response: Domain,
  },
  'POST /v1/domains/:domain/check': {
    id: 'checkDomain',
    summary: 'Compare live DNS with the records that should be there, and look at the domain anew',
    access: read,
    query: inNamespace,
    response: z.strictObject({ domain: Domain, findings: z.array(Finding) }),
  },
  'DELETE /v1/domains/:domain': {
    id: 'removeDomain',
    summary: 'Take a name away: at Cloudflare first, so that nobody can take it over',
    access: write,
    status: 202,
    query: inNamespace,
    response: Domain,
  },
})
