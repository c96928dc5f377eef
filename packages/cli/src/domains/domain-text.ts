import { domainToUnicode } from 'node:url'
import type { Domain, Finding } from '@agentctl/contract/domains.ts'
import { printable } from '../output.ts'
import { pairs, table } from '../table.ts'
import { relative } from '../times.ts'
import { WIDTH, wrap } from '../wrapped-text.ts'

/** As people write it; what DNS has in its place is added where that differs. */
export function shownName(hostname: string): string {
  const unicode = domainToUnicode(hostname)
  return unicode === '' || unicode === hostname ? hostname : `${unicode} (${hostname})`
}

const indented = (text: string): string => text.replace(/^(?=.)/gm, '  ')

/** What is to be made in DNS, so that each value can be copied as it is. */
export function describeRecords({ records, isApex }: Pick<Domain, 'records' | 'isApex'>): string {
  const plain = indented(
    table(
      ['type', 'name', 'value'],
      records.map(({ type, name, value }) => [type, name, value]),
    ),
  )
  // Wider than the page, columns would be broken anywhere: then each record stands by itself.
  const fits = plain.split('\n').every((line) => line.length <= WIDTH)
  const stacked = records.map(({ type, name, value }) =>
    indented(
      pairs([
        ['type', type],
        ['name', name],
        ['value', value],
      ]),
    ),
  )
  const one = records.length === 1
  return [
    `Create ${one ? 'this record' : 'these records'} where the DNS of this name is kept:`,
    '',
    fits ? plain : stacked.join('\n\n'),
    ...(isApex
      ? [
          '',
          ...wrap(
            'At the apex of a zone a CNAME cannot stand as it is: it has to be flattened, which some call ALIAS or ANAME.',
            WIDTH,
          ),
        ]
      : []),
  ].join('\n')
}

/** Where a domain stands, one thing a line. */
export function describeDomain(domain: Domain, now: Date): string {
  const { certificate } = domain
  const issuer = certificate?.issuer ? ` by ${certificate.issuer}` : ''
  const expires = certificate?.expiresAt ? `, expires ${relative(certificate.expiresAt, now)}` : ''
  return pairs([
    ['domain', shownName(domain.hostname)],
    ['agent', `${domain.agent.name} in ${domain.namespace}`],
    ['status', domain.status],
    ['waits for', domain.step],
    ['failure', domain.failure && domain.failure.message !== domain.step ? domain.failure.message : null],
    ['certificate', certificate && `${certificate.status.replaceAll('_', ' ')}${issuer}${expires}`],
    ['given up', domain.givenUpAt && `${relative(domain.givenUpAt, now)} unless it is live by then`],
    ['id', domain.id],
  ])
}

const VERDICTS: Partial<Record<Finding['state'], string>> = { right: 'right', not_answered: 'not known' }

/** Each record with what is wrong about it, and what to do. */
export function describeFindings(findings: readonly Finding[]): string {
  return findings
    .flatMap((finding) => [
      `${finding.type} ${finding.name}: ${VERDICTS[finding.state] ?? 'wrong'}`,
      ...linesOf(finding).map((line) => `  ${line}`),
    ])
    .join('\n')
}

/** What is wrong, and what to do about it. It quotes DNS, in which anybody may have written anything. */
export function linesOf({ state, message, fix }: Finding): string[] {
  if (state === 'right') return []
  return [message, ...(fix === null ? [] : [fix])].flatMap((text) => wrap(printable(text), WIDTH - 2))
}
