import type { ResponseOf } from '@agentctl/contract/api.ts'
import { pairs } from './table.ts'
import { relative } from './times.ts'

/** An account for people. The service keeps no phone number, so there is none to show. */
export function describeAccount({ id, createdAt, phone, wallets }: ResponseOf<'GET /v1/account'>): string {
  const now = new Date()
  return pairs([
    ['account', id],
    ['made', relative(createdAt, now)],
    ['phone', phone ? `linked ${relative(phone.linkedAt, now)}` : 'none'],
    ...(wallets.length === 0
      ? [['wallet', 'none'] satisfies [string, string]]
      : wallets.map(({ address, linkedAt }): [string, string] => [
          'wallet',
          `${address}, linked ${relative(linkedAt, now)}`,
        ])),
  ])
}
