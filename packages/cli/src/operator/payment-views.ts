import type { CardPayment, ChainPayment } from '@agentctl/contract/operators.ts'
import { dollars } from '../money.ts'
import { pairs } from '../table.ts'
import { relative } from '../times.ts'

export const describeChainPayment = (payment: ChainPayment, width: number): string =>
  pairs(
    [
      ['payment', payment.id],
      ['amount', dollars(payment.amountMicros)],
      ['sender', payment.sender],
      ['state', payment.state],
      ['account', payment.account],
      ['returned by', payment.returnedBy],
      ['seen', relative(payment.seenAt, new Date())],
    ],
    width,
  )

export const describeCardPayment = (payment: CardPayment, width: number): string =>
  pairs(
    [
      ['payment', payment.id],
      ['checkout', payment.checkout],
      ['asked', dollars(payment.askedMicros)],
      ['came', cameOf(payment)],
      ['state', payment.state],
      ['refund', refundOf(payment)],
      ['account', payment.account],
    ],
    width,
  )

/** What came, where it is not what was asked for; in the smallest unit of its currency. */
export const cameOf = ({ received }: CardPayment): string | null =>
  received && `${received.amount} ${received.currency}`

export const refundOf = ({ refund }: CardPayment): string | null =>
  refund && `${refund.state}, ${refund.amountMicros === null ? 'all' : dollars(refund.amountMicros)}`
