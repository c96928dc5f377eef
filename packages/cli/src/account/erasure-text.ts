import type { Erasure, ErasurePlan } from '@agentctl/contract/privacy.ts'
import { shownName } from '../domains/domain-text.ts'
import { dollars } from '../money.ts'
import { printable } from '../output.ts'
import { terms, WIDTH, wrap } from '../wrapped-text.ts'

const day = (time: string): string => time.slice(0, 10)
const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

export function describePlan(plan: ErasurePlan): string {
  const { agents, domains, files, namespaces, credits, kept } = plan
  const goes: [string, string][] = [
    [
      'agents',
      agents.map(({ name, namespace, status }) => `${name} in ${namespace} (${status})`).join(', ') || 'none',
    ],
    ['domains', domains.map(shownName).join(', ') || 'none'],
    ['machines', `${counted(plan.machines, 'machine')}, ${counted(plan.snapshots, 'snapshot')}`],
    [
      'files',
      `${counted(files.count, 'uploaded file')}, ${files.bytes} bytes; ${counted(plan.secrets, 'secret')}`,
    ],
    ['access', `${counted(plan.sessions, 'session')}, ${counted(plan.keys, 'API key')}, phone and wallets`],
    ['namespaces', namespaces.deleted.join(', ') || 'none'],
    ['notices', String(plan.notices)],
  ]
  const handed = namespaces.handedOver.map((name) => `The namespace ${name} goes on under its other owner.`)
  const left = namespaces.left.map((name) => `You leave the namespace ${name}.`)
  return [
    `Deleting the account ${plan.account.id} takes away, for good:`,
    ...terms(goes.map(([name, text]) => [name, printable(text)])),
    ...(handed.length + left.length > 0 ? ['', ...handed, ...left] : []),
    '',
    ...paragraph(creditsText(credits)),
    '',
    ...paragraph(
      kept.records === 0
        ? 'Nothing is kept: there are no billing records.'
        : `Kept: ${counted(kept.records, 'billing record')}, apart and without your account, until ${day(kept.until)}, then destroyed. Why: ${kept.legalBasis}.`,
    ),
    ...paragraph(
      'Payments on a chain stay public there. Operators keep the log of their own acts for a year.',
    ),
    ...(plan.blockers.length === 0
      ? []
      : [
          '',
          'Before that can be done:',
          ...plan.blockers.flatMap(({ message, fix }) =>
            paragraph(`- ${printable(message)} ${printable(fix)}`),
          ),
        ]),
  ].join('\n')
}

function creditsText({ leftMicros, owedMicros }: ErasurePlan['credits']): string {
  if (owedMicros !== '0') return `You owe ${dollars(owedMicros)}; that stays in the records.`
  if (leftMicros === '0') return 'No credits are left.'
  return (
    `Credits of ${dollars(leftMicros)} are left. They are lost with the account, unless you have them refunded first: ` +
    'write to the address at the end of the policy, before you delete it.'
  )
}

export function describeErasure({ id, status, receipt }: Erasure): string {
  if (!receipt) return `${id}: ${status}. The account is closed, and what it had is being taken away.`
  const { erased, files, retained, forfeitedMicros, finishedAt } = receipt
  return [
    `${id}: everything was deleted by ${finishedAt.slice(0, 19)}Z.`,
    ...terms([
      ...Object.entries(erased)
        .sort()
        .map(([name, count]): [string, string] => [name, counted(count, 'row')]),
      ['files', String(files)],
      [
        'kept',
        retained ? `${counted(retained.records, 'billing record')} until ${day(retained.until)}` : 'nothing',
      ],
      ...(forfeitedMicros === '0' ? [] : [['credits lost', dollars(forfeitedMicros)] as [string, string]]),
    ]),
  ].join('\n')
}

const paragraph = (text: string): string[] => wrap(text, WIDTH)
