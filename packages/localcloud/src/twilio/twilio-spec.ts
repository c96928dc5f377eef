import { findSpec, SpecCheck, type SpecOverlay } from '../spec-check.ts'

/** Twilio's document leaves channels and states as free text. */
const OVERLAY: SpecOverlay = {
  basePath: '',
  open: [],
  optional: [],
  values: {
    'verify.v2.service.verification.status': [
      'pending',
      'approved',
      'canceled',
      'max_attempts_reached',
      'deleted',
      'failed',
      'expired',
    ],
  },
  error: {
    type: 'object',
    required: ['code', 'message', 'more_info', 'status'],
    additionalProperties: false,
    properties: {
      code: { type: 'integer' },
      message: { type: 'string' },
      more_info: { type: 'string', format: 'uri' },
      status: { type: 'integer' },
    },
  },
}

/** A check of exchanges with Twilio Verify against Twilio's own document, or why there is none. */
export function twilioSpecCheck(): SpecCheck | { missing: string } {
  const found = findSpec('twilio-verify-v2.json')
  return 'missing' in found ? found : new SpecCheck(found.spec, OVERLAY)
}
