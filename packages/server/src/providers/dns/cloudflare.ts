import { z } from 'zod'
import type { Config } from '../../platform/config.ts'
import type { Log } from '../../platform/log.ts'
import { Problem } from '../../platform/problem.ts'
import type { Transport } from '../transport.ts'
import { connectCloudflare, expectResult, isMissing } from './cloudflare-call.ts'
import { prepareZone, sharingTrouble } from './cloudflare-zone.ts'

/** A customer's hostname at Cloudflare: it is ours to serve once it is proven, and has a certificate of its own. */
export interface CustomHostname {
  id: string
  hostname: string
  /** In the provider's words: `pending`, `active`, `moved`, `blocked`, `deleted` and others. */
  status: string
  /** A TXT record that proves who owns the name while it still points elsewhere. */
  ownership: { name: string; value: string } | undefined
  verificationErrors: string[]
  ssl: {
    /** In the provider's words: `initializing`, `pending_validation`, `active`, `validation_timed_out` and others. */
    status: string
    /** What proves to the certificate authority who controls the name. `HTTP` ones need nothing once it points to us. */
    records: { type: 'TXT' | 'CNAME' | 'HTTP'; name: string; value: string }[]
    errors: string[]
    issuer: string | undefined
    expiresAt: Date | undefined
  }
  createdAt: Date | undefined
}

/** A create cannot be repeated blindly: the provider knows no idempotency. */
export type HostnameOrder =
  | { state: 'created'; hostname: CustomHostname }
  /** There is one of this name already: look for it and adopt it. */
  | { state: 'taken' }
  /** Final: the same order will be refused again. */
  | { state: 'refused'; message: string }
  /** Nothing was created; the order may be given again later. */
  | { state: 'not_now' }
  /** It may have been created: look for the name before ordering again. */
  | { state: 'unknown' }

/** Whether the zone is as the service needs it; what is wrong is told in sentences for the operator. */
export type Preparation = { isReady: boolean; troubles: string[] }

/** The customers' hostnames. Every call but `create` and `prepare` throws `provider_unavailable` when it cannot be answered now. */
export interface Hostnames {
  create(hostname: string): Promise<HostnameOrder>
  find(id: string): Promise<CustomHostname | undefined>
  findByName(hostname: string): Promise<CustomHostname | undefined>
  /** All of the zone. Refused when the zone shows that another environment works in it too. */
  listOurs(): Promise<CustomHostname[]>
  /** Has the provider look again at once. False when it is not there. */
  restartValidation(id: string): Promise<boolean>
  /** One that is not there counts as deleted. */
  delete(id: string): Promise<void>
  /** Makes what is made once: the fallback origin and the wildcard record of the agents' names. */
  prepare(): Promise<Preparation>
}

/**
 * The authority asks for a file under the name, and Cloudflare answers for us as soon as the name points to us: one
 * CNAME is all that a customer has to make.
 */
const SSL = { method: 'http', type: 'dv', settings: { min_tls_version: '1.2' } } as const
const PER_PAGE = 50
const DUPLICATE_HOSTNAME = 1406

const text = z.string()
const Ssl = z.object({
  status: text.default('initializing'),
  validation_records: z
    .array(
      z.object({
        txt_name: text.optional(),
        txt_value: text.optional(),
        cname: text.optional(),
        cname_target: text.optional(),
        http_url: text.optional(),
        http_body: text.optional(),
      }),
    )
    .nullish(),
  validation_errors: z.array(z.object({ message: text.optional() })).nullish(),
  issuer: text.nullish(),
  expires_on: z.iso.datetime({ offset: true }).nullish(),
  certificates: z
    .array(z.object({ issuer: text.nullish(), expires_on: z.iso.datetime({ offset: true }).nullish() }))
    .nullish(),
})
const Hostname = z.object({
  id: text.min(1),
  hostname: text.min(1),
  status: text.default('pending'),
  ownership_verification: z.object({ name: text.optional(), value: text.optional() }).nullish(),
  verification_errors: z.array(text).nullish(),
  created_at: z.iso.datetime({ offset: true }).optional(),
  ssl: Ssl.nullish(),
})
/** Anything else that says 200 has not deleted it. */
const Deleted = z.object({ id: text.min(1) })
const HostnamePage = z.object({
  result: z.array(Hostname),
  result_info: z.object({ total_count: z.number() }),
})

export function openHostnames(deps: {
  config: Pick<Config, 'agentDomain' | 'domains'> & { cloudflare: NonNullable<Config['cloudflare']> }
  transport: Pick<Transport, 'send'>
  log: Log
  timeoutMs?: number
  pause?: (ms: number) => Promise<unknown>
}): Hostnames {
  const { config } = deps
  const { zoneId: zone_id } = config.cloudflare
  const connection = connectCloudflare({ ...deps, cloudflare: config.cloudflare })
  const { ask, once } = connection

  const list = async (filter: { hostname?: { exact: string } }): Promise<CustomHostname[]> => {
    const found: CustomHostname[] = []
    for (let page = 1; ; page++) {
      const query = { zone_id, page, per_page: PER_PAGE, ...filter }
      const { result, result_info } = expectResult(
        await ask((client) => client.customHostnames.list(query), HostnamePage),
      )
      found.push(...result.map(viewOf))
      if (result.length === 0 || page * PER_PAGE >= result_info.total_count) return found
    }
  }

  return {
    async create(hostname) {
      const answer = await once(
        (client) => client.customHostnames.create({ zone_id, hostname, ssl: SSL }),
        Hostname,
      )
      if (answer.kind === 'result') return { state: 'created', hostname: viewOf(answer.result) }
      if (answer.kind === 'not_sent') return { state: 'not_now' }
      if (answer.kind === 'no_answer') return { state: 'unknown' }
      const { status, codes, message } = answer
      if (status === 409 || codes.includes(DUPLICATE_HOSTNAME)) return { state: 'taken' }
      if (status === 429 || status === 401 || status === 403 || status === 404) return { state: 'not_now' }
      if (status >= 500) return { state: 'unknown' }
      return { state: 'refused', message: plain(message) }
    },
    async find(id) {
      const answer = await ask((client) => client.customHostnames.get(id, { zone_id }), Hostname)
      return isMissing(answer) ? undefined : viewOf(expectResult(answer))
    },
    // A filter that a provider does not know is passed over, and then everything is listed.
    findByName: async (hostname) =>
      (await list({ hostname: { exact: hostname } })).find((one) => one.hostname === hostname),
    async listOurs() {
      const trouble = await sharingTrouble(config, connection)
      if (trouble !== undefined) throw new Problem('provider_unavailable', trouble)
      return list({})
    },
    async restartValidation(id) {
      // The same settings again are how Cloudflare is asked to look at once.
      const answer = await ask((client) => client.customHostnames.edit(id, { zone_id, ssl: SSL }), Hostname)
      if (isMissing(answer)) return false
      expectResult(answer)
      return true
    },
    async delete(id) {
      const answer = await ask((client) => client.customHostnames.delete(id, { zone_id }), Deleted)
      if (!isMissing(answer)) expectResult(answer)
    },
    prepare: () => prepareZone(config, connection),
  }
}

function viewOf(hostname: z.infer<typeof Hostname>): CustomHostname {
  const { ownership_verification: ownership, ssl } = hostname
  const certificate = ssl?.certificates?.at(-1)
  const expires = ssl?.expires_on ?? certificate?.expires_on
  return {
    id: hostname.id,
    hostname: hostname.hostname,
    status: hostname.status,
    ownership:
      ownership?.name && ownership.value ? { name: ownership.name, value: ownership.value } : undefined,
    verificationErrors: (hostname.verification_errors ?? []).map(plain),
    ssl: {
      status: ssl?.status ?? 'initializing',
      records: (ssl?.validation_records ?? []).flatMap((record) => [
        ...recordOf('TXT', record.txt_name, record.txt_value),
        ...recordOf('CNAME', record.cname, record.cname_target),
        ...recordOf('HTTP', record.http_url, record.http_body),
      ]),
      errors: (ssl?.validation_errors ?? []).flatMap(({ message }) => (message ? [plain(message)] : [])),
      issuer: ssl?.issuer ?? certificate?.issuer ?? undefined,
      expiresAt: expires ? new Date(expires) : undefined,
    },
    createdAt: hostname.created_at === undefined ? undefined : new Date(hostname.created_at),
  }
}

type ProvingRecord = CustomHostname['ssl']['records'][number]

function recordOf(type: ProvingRecord['type'], name?: string, value?: string): ProvingRecord[] {
  return name && value ? [{ type, name, value }] : []
}

/** What the provider says is shown to users, so it is kept short and plain. */
function plain(message: string): string {
  return message.replace(/[^\x20-\x7e]/g, ' ').slice(0, 200) || 'no reason given'
}
