import { z } from 'zod'
import type { Config } from '../../platform/config.ts'
import { type CloudflareAnswer, type CloudflareConnection, isMissing } from './cloudflare-call.ts'

const Token = z.object({ status: z.string() })
const Zone = z.object({ name: z.string(), status: z.string() })
const Origin = z.object({ origin: z.string().nullish() })
const DnsRecord = z.object({
  id: z.string(),
  name: z.string(),
  type: z.string(),
  content: z.string().nullish(),
  proxied: z.boolean().optional(),
  comment: z.string().nullish(),
})
const DnsRecords = z.object({ result: z.array(DnsRecord) })

/** Begins the comment of every record that an environment of this service makes. */
const MARK = 'agentctl:'
/** An identical record, or one that cannot stand beside it. */
const RECORD_EXISTS: readonly number[] = [81053, 81054, 81057, 81058]

interface ZoneConfig extends Pick<Config, 'agentDomain' | 'domains'> {
  cloudflare: NonNullable<Config['cloudflare']>
}

/**
 * Looks whether the zone is ours to use, and makes what is made once: the origin that answers for customers'
 * hostnames, and one record for the names of all agents. Nothing that is there and not ours is changed.
 */
export async function prepareZone(
  config: ZoneConfig,
  connection: CloudflareConnection,
): Promise<{ isReady: boolean; troubles: string[] }> {
  const trouble =
    (await tokenTrouble(connection)) ??
    (await zoneTrouble(config, connection)) ??
    (await sharingTrouble(config, connection)) ??
    (await wildcardTrouble(config, connection)) ??
    (await originTrouble(config, connection))
  return { isReady: trouble === undefined, troubles: trouble === undefined ? [] : [trouble] }
}

async function tokenTrouble({ ask }: CloudflareConnection): Promise<string | undefined> {
  const answer = await ask((client) => client.user.tokens.verify(), Token)
  if (answer.kind !== 'result') return troubleOf(answer, 'cannot check the token CLOUDFLARE_API_TOKEN')
  if (answer.result.status === 'active') return undefined
  return `The token CLOUDFLARE_API_TOKEN is ${answer.result.status}. Make another one at Cloudflare.`
}

async function zoneTrouble(
  { cloudflare: { zoneId, zoneName } }: ZoneConfig,
  { ask }: CloudflareConnection,
): Promise<string | undefined> {
  const answer = await ask((client) => client.zones.get({ zone_id: zoneId }), Zone)
  if (answer.kind !== 'result') return troubleOf(answer, 'cannot look at the zone CLOUDFLARE_ZONE_ID')
  const { name, status } = answer.result
  if (name !== zoneName) {
    return `The zone CLOUDFLARE_ZONE_ID is ${name}, but CLOUDFLARE_ZONE_NAME says ${zoneName}. Correct one of them.`
  }
  if (status === 'active') return undefined
  return `The zone ${name} is ${status} at Cloudflare. Its registrar must name Cloudflare's name servers first.`
}

/**
 * Hostnames carry no mark, so whatever the zone has and this environment does not know is deleted in the end. The
 * records of another environment show that the zone is not ours alone.
 */
export async function sharingTrouble(
  { cloudflare: { zoneId: zone_id, environment } }: ZoneConfig,
  { ask }: CloudflareConnection,
): Promise<string | undefined> {
  const answer = await ask(
    (client) => client.dns.records.list({ zone_id, comment: { startswith: MARK } }),
    DnsRecords,
  )
  if (answer.kind !== 'result') return troubleOf(answer, 'cannot list the records of the zone')
  const other = answer.result.result.find(({ comment }) => comment && comment !== MARK + environment)
  if (!other) return undefined
  return `The environment of the record ${other.name}, marked "${other.comment}", works in the same zone. Give each environment a zone of its own.`
}

async function wildcardTrouble(
  { agentDomain, cloudflare: { zoneId: zone_id, fallbackOrigin, environment } }: ZoneConfig,
  { ask, once }: CloudflareConnection,
): Promise<string | undefined> {
  const name = `*.${agentDomain}`
  const comment = MARK + environment
  const wanted = { name, type: 'CNAME', content: fallbackOrigin, proxied: true, ttl: 1, comment } as const
  const look = async (): Promise<string | 'absent' | undefined> => {
    const answer = await ask(
      (client) => client.dns.records.list({ zone_id, name: { exact: name } }),
      DnsRecords,
    )
    if (answer.kind !== 'result') return troubleOf(answer, `cannot list the records of ${name}`)
    // Records that say something else about the name, such as CAA and TXT, do not decide where it leads.
    const leading = answer.result.result.filter(({ type }) => ['A', 'AAAA', 'CNAME'].includes(type))
    const [record] = leading
    if (!record) return 'absent'
    if (leading.some((one) => one.comment !== comment)) {
      return `There is a record ${name} at Cloudflare that is not marked "${comment}". It is left alone: remove it, or give this environment another AGENT_DOMAIN.`
    }
    if (record.type === 'CNAME' && record.content === fallbackOrigin && record.proxied) return undefined
    const changed = await ask(
      (client) => client.dns.records.edit(record.id, { zone_id, ...wanted }),
      DnsRecord,
    )
    return changed.kind === 'result' ? undefined : troubleOf(changed, `cannot change the record ${name}`)
  }
  const seen = await look()
  if (seen !== 'absent') return seen
  const made = await once((client) => client.dns.records.create({ zone_id, ...wanted }), DnsRecord)
  if (made.kind === 'result') return undefined
  const mayBeThere =
    made.kind === 'no_answer' ||
    (made.kind === 'refused' &&
      (made.status >= 500 || made.codes.some((code) => RECORD_EXISTS.includes(code))))
  const again = mayBeThere ? await look() : 'absent'
  return again === 'absent' ? troubleOf(made, `cannot make the record ${name}`) : again
}

async function originTrouble(
  { cloudflare: { zoneId: zone_id, fallbackOrigin: origin } }: ZoneConfig,
  { ask }: CloudflareConnection,
): Promise<string | undefined> {
  const set = await ask((client) => client.customHostnames.fallbackOrigin.get({ zone_id }), Origin)
  if (set.kind === 'result' && set.result.origin === origin) return undefined
  if (set.kind !== 'result' && !isMissing(set)) return troubleOf(set, 'cannot look at the fallback origin')
  const made = await ask(
    (client) => client.customHostnames.fallbackOrigin.update({ zone_id, origin }),
    Origin,
  )
  return made.kind === 'result' ? undefined : troubleOf(made, `cannot make ${origin} the fallback origin`)
}

function troubleOf(answer: Exclude<CloudflareAnswer<unknown>, { kind: 'result' }>, what: string): string {
  if (answer.kind !== 'refused') return `The service ${what}: Cloudflare does not answer.`
  const numbers = answer.codes.length > 0 ? ` with error ${answer.codes.join(', ')}` : ''
  const isDenied = answer.status === 401 || answer.status === 403
  const fix = isDenied ? ' The token needs "DNS: Edit" and "SSL and Certificates: Edit" on the zone.' : ''
  return `The service ${what}: Cloudflare answered ${answer.status}${numbers}.${fix}`
}
