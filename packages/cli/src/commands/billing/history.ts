import type { ResponseOf } from '@agentctl/contract/api.ts'
import { LEDGER_FORMAT, type LedgerHead } from '@agentctl/contract/ledger-export.ts'
import { choice, defineCommand, flag, option, wholeNumber } from '../../command.ts'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { dollars, plainDollars } from '../../money.ts'
import { printable } from '../../output.ts'
import { table } from '../../table.ts'
import { readMoment } from '../../times.ts'

type Entry = ResponseOf<'GET /v1/billing/history'>['entries'][number]
interface Query {
  since: string | undefined
  until: string | undefined
  kind: string | undefined
}

/** What a customer's ledger holds; the service keeps payments of unknown wallets elsewhere. */
const kinds = ['deposit', 'charge', 'refund', 'reversal'] as const
const DEFAULT_LINES = 25
const PAGE_MAX = 1000

export const history = defineCommand({
  summary: 'List deposits and charges, or export the whole ledger',
  details:
    'With --json and no filter, the whole ledger with a head signed by the service: agentctl billing verify ' +
    'checks it offline. With a filter, --limit or --cursor, --json is {entries, nextCursor}. --csv takes all unless --limit is given.',
  options: {
    since: option('--since <time>', 'from then on: 7d, 2026-01-31, or 2026-01-31T12:00:00Z'),
    until: option('--until <time>', 'up to then'),
    kind: choice('--kind <kind>', 'only of this kind', kinds),
    limit: wholeNumber('--limit <entries>', `at most so many, newest first (default ${DEFAULT_LINES})`, {
      min: 1,
      max: 1_000_000,
    }),
    all: flag('--all', 'all of them'),
    cursor: option('--cursor <cursor>', 'go on where an answer ended (its nextCursor)'),
    csv: flag('--csv', 'comma-separated values'),
  },
  examples: [
    'agentctl billing history',
    'agentctl billing history --since 30d --kind deposit --all',
    'agentctl billing history --json > ledger.json && agentctl billing verify ledger.json',
    'agentctl billing history --csv --since 2026-01-01 --until 2026-02-01 > january.csv',
  ],
  async run(ctx, _, { since, until, kind, limit, all, cursor, csv }) {
    if (all && limit !== undefined) throw usage('Give either --all or --limit')
    if (csv && ctx.out.json) throw usage('Give either --csv or --json')
    const query = { since: readMoment('--since', since), until: readMoment('--until', until), kind }
    if (query.since && query.until && query.since >= query.until) {
      throw usage('--since has to be before --until')
    }
    const picks = [since, until, kind, limit, cursor].some((one) => one !== undefined)
    if (ctx.out.json && !picks) return exportLedger(ctx)

    const most = limit ?? (all || csv ? Number.POSITIVE_INFINITY : DEFAULT_LINES)
    if (csv) return writeCsv(ctx, query, cursor, most)
    const entries: Entry[] = []
    let next: string | null = null
    for await (const page of pages(ctx, query, cursor, most)) {
      entries.push(...page.entries)
      next = page.nextCursor
    }
    ctx.out.result({ entries, nextCursor: next }, (_, width) => describe(entries, width))
    if (next !== null) ctx.out.note(`There is more: --all, or --cursor ${next}`)
  },
})

const usage = (message: string): Failure =>
  new Failure('usage', message, { fix: 'See: agentctl billing history --help' })

async function* pages(ctx: Context, query: Query, cursor: string | undefined, most: number) {
  let left = most
  for (let from = cursor; left > 0; ) {
    const page = await ctx.api('GET /v1/billing/history', {
      query: { ...query, cursor: from, limit: Math.min(left, PAGE_MAX) },
    })
    left -= page.entries.length
    yield page
    // A page without entries that names another one would never end.
    if (page.nextCursor === null || page.entries.length === 0) return
    from = page.nextCursor
  }
}

const signed = (micros: string): string => (micros.startsWith('-') ? dollars(micros) : `+${dollars(micros)}`)

function describe(entries: Entry[], width: number): string {
  if (entries.length === 0) return 'No entries.'
  return table(
    ['at', 'kind', 'what', 'amount', 'balance'],
    entries.map(({ at, kind, description, amountMicros, balanceMicros }) => [
      `${at.slice(0, 19)}Z`,
      kind,
      description,
      signed(amountMicros),
      dollars(balanceMicros),
    ]),
    width,
  )
}

async function writeCsv(ctx: Context, query: Query, cursor: string | undefined, most: number): Promise<void> {
  ctx.out.raw('at,id,kind,description,reference,amount_micros,balance_micros,amount_usd,balance_usd')
  for await (const { entries } of pages(ctx, query, cursor, most)) {
    if (entries.length > 0) ctx.out.raw(entries.map(csvLine).join('\n'))
  }
}

const csvLine = (entry: Entry): string => {
  const { at, id, kind, description, reference, amountMicros, balanceMicros } = entry
  const amounts = [amountMicros, balanceMicros, plainDollars(amountMicros), plainDollars(balanceMicros)]
  return [...[at, id, kind, description, reference].map(csvText), ...amounts].join(',')
}

/** A spreadsheet takes text that starts like a formula for one, and would run it. */
function csvText(text: string): string {
  const plain = printable(text)
  const safe = /^[=+\-@\t\r\n]/.test(plain) ? `'${plain}` : plain
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** The document as the service made it; the key of its signature is kept, to know it again offline. */
async function exportLedger(ctx: Context): Promise<void> {
  const answer = await ctx.api.open('GET /v1/billing/ledger', { timeoutSeconds: 300 })
  const document: unknown = await answer.json().catch(() => undefined)
  const head = headOf(document)
  if (!head) {
    throw new Failure('unavailable', 'The service did not answer with a ledger', {
      requestId: answer.headers.get('x-request-id') ?? undefined,
    })
  }
  // Keys of earlier years as well; a service that does not list them has signed with the one in the head.
  const { keys } = await ctx.api('GET /v1/billing/ledger-keys', { token: null }).catch((error: unknown) => {
    if (error instanceof Failure && error.code === 'interrupted') throw error
    return { keys: [] }
  })
  const { url } = ctx.address()
  const known = ctx.config().ledgerKeys?.[url] ?? []
  const seen = [...new Set([...known, ...keys.map(({ publicKey }) => publicKey), head.publicKey])]
  if (seen.length > known.length) {
    await ctx.saveConfig((config) => {
      config.ledgerKeys = { ...config.ledgerKeys, [url]: seen }
    })
  }
  ctx.out.result(document, '')
}

function headOf(document: unknown): Pick<LedgerHead, 'publicKey'> | undefined {
  if (typeof document !== 'object' || document === null) return undefined
  if (!('format' in document) || document.format !== LEDGER_FORMAT || !('head' in document)) return undefined
  const { head } = document
  return typeof head === 'object' &&
    head !== null &&
    'publicKey' in head &&
    typeof head.publicKey === 'string'
    ? { publicKey: head.publicKey }
    : undefined
}
