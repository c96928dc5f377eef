import type { Payments } from './payments.ts'
import { noSuch } from './stripe-error.ts'
import type { PaymentIntent, Session } from './stripe-state.ts'

export function intentOf(payments: Payments, id: string, param = 'intent'): PaymentIntent {
  const intent = payments.findIntent(id)
  if (!intent) throw noSuch('payment_intent', id, param)
  return intent
}

export function sessionOf(payments: Payments, id: string): Session {
  const session = payments.findSession(id)
  if (!session) throw noSuch('checkout.session', id, 'session')
  return session
}
