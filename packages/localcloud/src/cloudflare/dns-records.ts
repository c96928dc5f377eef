import { randomBytes } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import { type Context, Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { Refused } from './cloudflare-error.ts'
import type { CloudflareState, DnsRecord } from './cloudflare-state.ts'
import { isUnder, plainName } from './dns-answers.ts'
import { page } from './paging.ts'
import { bodyOf, oneOf, textOf } from './request-body.ts'
import { success, wireRecord, type ZoneFacts } from './wire.ts'

type Choice = Pick<DnsRecord, 'name' | 'type' | 'content' | 'proxied' | 'ttl' | 'comment' | 'tags'>

const FIELDS = ['name', 'type', 'content', 'proxied', 'ttl', 'comment', 'tags']
const TYPES = ['A', 'AAAA', 'CNAME', 'TXT'] as const
const FILTERS = [
  ...['name', 'name.exact', 'type', 'content', 'content.exact', 'proxied'],
  ...['comment', 'comment.exact', 'comment.startswith', 'page', 'per_page'],
]

/** Records of the zone, as far as the platform needs them. */
export function recordRoutes({
  zone,
  state,
  clock,
}: {
  zone: ZoneFacts
  state: KeptState<CloudflareState>
  clock: Clock
}): Hono {
  const { records } = state.value
  const app = new Hono()

  app.get('/', (c) => {
    const query = c.req.query()
    const unknown = Object.keys(query).find((name) => !FILTERS.includes(name))
    if (unknown !== undefined) throw new Refused(400, 6003, `This stand-in has no filter ${unknown}.`)
    const is = (value: string | null, ...names: string[]) =>
      names.every((name) => query[name] === undefined || query[name] === value)
    const found = records.filter(
      (one) =>
        is(one.name, 'name', 'name.exact') &&
        is(one.type, 'type') &&
        is(one.content, 'content', 'content.exact') &&
        is(String(one.proxied), 'proxied') &&
        is(one.comment, 'comment', 'comment.exact') &&
        (one.comment ?? '').startsWith(query['comment.startswith'] ?? ''),
    )
    const { items, result_info } = page(found, query, { perPage: 100, perPageMin: 1, perPageMax: 5_000_000 })
    return success(items.map(wireRecord), { result_info })
  })
  app.post('/', async (c) => {
    const choice = readChoice(await bodyOf(c, FIELDS), zone)
    refuseConflicts(records, choice)
    const now = clock.now()
    const made = { id: randomBytes(16).toString('hex'), ...choice, createdAt: now, modifiedAt: now }
    records.push(made)
    state.save()
    return success(wireRecord(made))
  })
  app.get('/:id', (c) => success(wireRecord(recordOf(records, c))))
  const change = async (c: Context, keepsRest: boolean): Promise<Response> => {
    const record = recordOf(records, c)
    const body = await bodyOf(c, FIELDS)
    const { name, type, content, proxied, ttl, comment, tags } = record
    const before = keepsRest ? { name, type, content, proxied, ttl, comment, tags } : {}
    const choice = readChoice({ ...before, ...body }, zone)
    refuseConflicts(
      records.filter((one) => one !== record),
      choice,
    )
    Object.assign(record, choice, { modifiedAt: clock.now() })
    state.save()
    return success(wireRecord(record))
  }
  app.patch('/:id', (c) => change(c, true))
  app.put('/:id', (c) => change(c, false))
  app.delete('/:id', (c) => {
    const record = recordOf(records, c)
    records.splice(records.indexOf(record), 1)
    state.save()
    // Without the frame of every other answer, as it is documented.
    return Response.json({ result: { id: record.id } })
  })
  return app
}

function recordOf(records: DnsRecord[], c: Context): DnsRecord {
  const found = records.find((one) => one.id === c.req.param('id'))
  if (!found) throw new Refused(404, 81_044, 'Record does not exist.')
  return found
}

function readChoice(body: Record<string, unknown>, zone: ZoneFacts): Choice {
  const type = oneOf(TYPES, body.type, 'type')
  const asked = plainName(textOf(body, 'name') ?? '')
  if (asked === '') throw new Refused(400, 9000, 'DNS name is invalid.')
  const name = asked === '@' ? zone.name : isUnder(asked, zone.name) ? asked : `${asked}.${zone.name}`
  const content = textOf(body, 'content') ?? ''
  const isValid = {
    A: isIPv4(content),
    AAAA: isIPv6(content),
    CNAME: /^\S+\.\S+$/.test(content),
    TXT: content !== '',
  }
  if (!isValid[type]) throw new Refused(400, 9005, `Content for ${type} record is invalid.`)
  const ttl = body.ttl ?? 1
  if (typeof ttl !== 'number' || (ttl !== 1 && (ttl < 30 || ttl > 86_400))) {
    throw new Refused(400, 9021, 'Invalid TTL. Must be between 30 and 86400 seconds, or 1 for Automatic.')
  }
  const proxied = oneOf([true, false], body.proxied ?? false, 'proxied')
  if (proxied && type === 'TXT') throw new Refused(400, 9004, 'This record type cannot be proxied.')
  const tags = body.tags ?? []
  if (!Array.isArray(tags) || tags.length > 0)
    throw new Refused(400, 9300, 'DNS record has 1 tags, exceeding the quota of 0.')
  const comment = body.comment === null ? null : (textOf(body, 'comment') ?? null)
  return {
    name,
    type,
    content: type === 'CNAME' ? plainName(content) : content,
    proxied,
    ttl,
    comment,
    tags: [],
  }
}

function refuseConflicts(others: readonly DnsRecord[], choice: Choice): void {
  const beside = others.filter((one) => one.name === choice.name)
  if (beside.some((one) => one.type === choice.type && one.content === choice.content)) {
    throw new Refused(400, 81_058, 'An identical record already exists.')
  }
  const leads = (type: string) => type !== 'TXT'
  if (!leads(choice.type)) return
  if (beside.some((one) => leads(one.type) && (one.type === 'CNAME' || choice.type === 'CNAME'))) {
    throw new Refused(400, 81_053, 'An A, AAAA, or CNAME record with that host already exists.')
  }
}
