import type { FoundAccount } from '@agentctl/contract/operators.ts'
import { dollars } from '../money.ts'
import { pairs } from '../table.ts'
import { relative } from '../times.ts'

export const describeAccount = (
  { id, createdAt, creditsMicros, loginMethods, standing }: FoundAccount,
  width: number,
): string =>
  pairs(
    [
      ['account', id],
      ['made', relative(createdAt, new Date())],
      ['credits', dollars(creditsMicros)],
      ['logs in by', loginMethods.join(', ') || 'nothing'],
      ['standing', standing && standing.state !== 'good' ? `${standing.state}: ${standing.reason}` : 'good'],
      ['may have', standing ? capsOf(standing) : null],
    ],
    width,
  )

function capsOf(standing: NonNullable<FoundAccount['standing']>): string | null {
  const { machinesMax, hourlyMaxMicros, monthlyMaxMicros } = standing
  const caps = [
    ...(machinesMax === null ? [] : [`${machinesMax} machines`]),
    ...(hourlyMaxMicros === null ? [] : [`${dollars(hourlyMaxMicros)} an hour`]),
    ...(monthlyMaxMicros === null ? [] : [`${dollars(monthlyMaxMicros)} a month`]),
  ]
  return caps.join(', ') || null
}
