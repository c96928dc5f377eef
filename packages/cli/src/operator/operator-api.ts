import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'

/** The credential of an operator: never the login of the same person, who is a customer like any other with it. */
export function operatorToken({ env }: Pick<Context, 'env'>): { token: string } {
  const token = env.AGENTCTL_OPERATOR_TOKEN
  if (token) return { token }
  throw new Failure('unauthenticated', 'AGENTCTL_OPERATOR_TOKEN is not set', {
    fix: 'Set it to your credential as an operator of this service; customers have none.',
  })
}
