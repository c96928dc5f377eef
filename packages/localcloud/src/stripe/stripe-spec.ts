import { findSpec, SpecCheck, type SpecOverlay } from '../spec-check.ts'

/** Stripe's document is strict by itself, and says which properties are there. */
const OVERLAY: SpecOverlay = {
  basePath: '',
  open: [],
  optional: [],
  answersHave: 'required and nullable',
  values: {
    'refund.status': ['pending', 'requires_action', 'succeeded', 'failed', 'canceled'],
  },
  error: {
    type: 'object',
    required: ['error'],
    additionalProperties: false,
    properties: { error: { $ref: 'spec#/components/schemas/api_errors' } },
  },
}

/** A check of exchanges with Stripe against Stripe's own document, or why there is none. */
export function stripeSpecCheck(): SpecCheck | { missing: string } {
  const found = findSpec('stripe-oad.json')
  return 'missing' in found ? found : new SpecCheck(found.spec, OVERLAY)
}
