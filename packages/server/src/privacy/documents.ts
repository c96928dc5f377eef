import { retention } from '../platform/retention.ts'
import { announcedPolicy } from './announced-policy.ts'
import type { MappedColumn } from './data-map.ts'
import { policy, processors, type Section, type Sentence } from './policy.ts'
import { policyVersions } from './policy-versions.ts'

/** Documents that are made from the comments of the columns and from the policy; a check proves them fresh. */

const MADE =
  'Made from the comments of the columns and the policy; do not edit. To make it anew: `npm test -- test/policy/documents.test.ts -u`.'

/** What the periods in the comments mean. */
const periodWords: Readonly<Record<string, string>> = {
  account: 'as long as the account',
  schema: 'as long as the database',
  '1d': 'a day',
  '2d': 'two days',
  '7d': 'seven days',
  '30d': '30 days',
  '30d-unused': '30 days after its last use',
  '90d': '90 days',
  '1y': 'a year',
  '5y': 'five years after its end',
}
/** Records of payments: what accounting law asks for begins when their account ends. */
const BOOKS = /^(?:billing\.|pii\.wallet$)/
const eraseWords: Readonly<Record<string, string>> = {
  delete: 'deleted',
  expire: 'ends by itself',
  keep: 'kept, by law or because it is nobody’s',
  unlink: 'made nobody’s',
}
const purposeWords: Readonly<Record<string, { sentence: string; words: string; basis: string }>> = {
  authenticate: { sentence: '2a', words: 'Knowing who it is', basis: 'contract, Art. 6(1)(b)' },
  provision: { sentence: '2b', words: 'Making and running machines', basis: 'contract, Art. 6(1)(b)' },
  pay: {
    sentence: '2c',
    words: 'Payments and books',
    basis: 'contract and legal obligation, Art. 6(1)(b), (c)',
  },
  abuse: { sentence: '2d', words: 'Against abuse and fraud', basis: 'legitimate interest, Art. 6(1)(f)' },
  debug: { sentence: '2e', words: 'Finding faults', basis: 'legitimate interest, Art. 6(1)(f)' },
  notify: { sentence: '2f', words: 'Telling what matters', basis: 'contract, Art. 6(1)(b)' },
}
/** Who is told something of a class, by section 3. */
const recipients: readonly { name: string; what: string; where: string }[] = [
  { name: 'Twilio', what: 'the phone number, for the code', where: 'United States' },
  { name: 'Stripe', what: 'an amount; the payer tells it the rest', where: 'United States, Ireland' },
  { name: 'Cloudflare', what: 'host names; it carries traffic to agents', where: 'United States, worldwide' },
  { name: 'Vultr', what: 'it hosts database, files and machines', where: 'Seoul, Korea' },
]

const period = ({ class: name, retention: kept }: MappedColumn): string =>
  kept === '5y' && BOOKS.test(name)
    ? 'as long as the account, and five years after it by accounting law'
    : (periodWords[kept] ?? kept)
const unique = <T>(values: readonly T[]): T[] => [...new Set(values)]
const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** Class by class. */
function keptByClass(
  columns: readonly MappedColumn[],
): { class: string; purposes: string[]; periods: string[] }[] {
  return [...Map.groupBy(columns, (column) => column.class)]
    .map(([name, of]) => ({
      class: name,
      purposes: unique(of.flatMap(({ purposes }) => purposes)).sort(),
      periods: unique(of.map(period)).sort(),
    }))
    .sort((a, b) => (a.class < b.class ? -1 : 1))
}

/** The same as the rows of a table, as the text of the policy has it. */
export const kindRows = (columns: readonly MappedColumn[]): string[][] =>
  keptByClass(columns).map((one) => [one.class, one.purposes.join(', '), one.periods.join('; ')])

export function dataMapDocument(
  columns: readonly MappedColumn[],
  tables: readonly { table: string; about: string }[],
): string {
  const about = new Map(tables.map((one) => [one.table, one.about]))
  const sections = [...Map.groupBy(columns, ({ table }) => table)].map(([table, of]) =>
    [
      `## ${table}`,
      '',
      about.get(table) ?? '',
      '',
      row('column', 'class', 'for', 'kept', 'in an export', 'when the account is erased'),
      row('---', '---', '---', '---', '---', '---'),
      ...of.map((one) =>
        row(
          one.column,
          one.class,
          one.purposes.join(', '),
          period(one),
          one.export,
          eraseWords[one.erase] ?? one.erase,
        ),
      ),
      '',
    ].join('\n'),
  )
  return `# Data map\n\n${MADE}\n\nEvery column of every table. Beside the database there are the contents of deployed files, by account and hash.\n\n${sections.join('\n')}`
}

/** GDPR Art. 30(1): what a record of processing activities has to hold. */
export function processingRecord(columns: readonly MappedColumn[]): string {
  const activities = Object.entries(purposeWords).map(([purpose, { sentence, words, basis }]) => {
    const of = columns.filter(({ purposes }) => purposes.includes(purpose))
    return [
      `## ${words} (${sentence})`,
      '',
      `- **Basis**: ${basis}`,
      '- **Whose data**: people who have an account, or begin to make one',
      `- **Kinds of data**: ${unique(of.map((column) => column.class))
        .sort()
        .join(', ')}`,
      `- **Time limits for erasure**: ${unique(of.map(period)).sort().join('; ')}`,
      '',
    ].join('\n')
  })
  const told = recipients.map(({ name, what, where }) =>
    row(name, what, where, `<${processors[name as keyof typeof processors]}>`),
  )
  return `# Record of processing activities

${MADE}

What Art. 30(1) of the GDPR asks for. Whoever runs the service puts the name and contact of the controller, and of its representative, before it.

${activities.join('\n')}
## Recipients, and transfers to other countries

${[row('who', 'is told', 'where', 'its own policy'), row('---', '---', '---', '---'), ...told].join('\n')}

Nobody else: the server calls no other host that is told anything about a person (2g), but for the address that an account may choose itself to have its service messages sent to.

## Security

Connections are encrypted (5b), networks are separated (5c), the database shows each caller its own rows (5d), keys and sessions are kept as hashes and phones as keyed hashes (5e, 1a), secrets of agents are sealed with keys outside the database (1c). What operators look at is logged (6o).
`
}

/** Sentence → what proves it → which test breaks it. `tested`: ids that a test breaks. */
export function policyDocument(evidenceOf: (id: string) => string, tested: ReadonlySet<string>): string {
  const line = ({ id, text, notice }: Sentence): string =>
    row(
      id,
      text,
      notice ? 'a notice' : `\`privacy/evidence/${evidenceOf(id)}.ts\``,
      notice ? '–' : tested.has(id) ? '`test/policy/sentences.test.ts`' : 'none',
    )
  const chapters = (text: readonly Section[]): string =>
    text
      .map(({ title, sentences }) =>
        [
          `## ${title}`,
          '',
          row('id', 'sentence', 'measured by', 'broken by'),
          row('---', '---', '---', '---'),
          ...sentences.map(line),
          '',
        ].join('\n'),
      )
      .join('\n')
  const said = new Set(policy.flatMap(({ sentences }) => sentences).map(({ id, text }) => `${id} ${text}`))
  const next = (announcedPolicy?.text ?? [])
    .map((one) => ({ ...one, sentences: one.sentences.filter(({ id, text }) => !said.has(`${id} ${text}`)) }))
    .filter(({ sentences }) => sentences.length > 0)
  const periods = Object.entries(retention).map(([name, one]) => {
    const {
      table,
      from,
      days,
      sentence,
      where,
    }: { table: string; from: string; days: number; sentence: string; where?: string } = one
    return row(
      sentence,
      name,
      `\`${table}.${from}\``,
      days === 0 ? 'at that time' : `${days} days later`,
      where ? `\`${where}\`` : 'all',
    )
  })
  return `# The policy, sentence by sentence

${MADE}

Text of ${policyVersions.at(announcedPolicy ? -2 : -1)?.lastUpdated}. \`agentctl policy verify\` and \`GET /v1/policy\` measure each sentence on the running server; \`/policy\` is the page.

${chapters(policy)}
${next.length > 0 ? `# What changes on ${policyVersions.at(-1)?.lastUpdated}\n\n${chapters(next)}\n` : ''}# How long

What does not stay as long as its account (6a) or as accounting law asks (6d), from \`platform/retention.ts\`.

${[row('sentence', 'what', 'counted from', 'deleted', 'which rows'), row('---', '---', '---', '---', '---'), ...periods].join('\n')}
`
}
