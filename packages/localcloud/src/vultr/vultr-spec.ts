import { findSpec, SpecCheck, type SpecOverlay } from '../spec-check.ts'

/** Vultr's document has no list of states; these are the ones that its pages name. */
const OVERLAY: SpecOverlay = {
  basePath: '/v2',
  // Its properties are days.
  open: ['get_bandwidth_baremetal_200_response_bandwidth'],
  // Shown once, when the instance is made.
  optional: ['instance.default_password'],
  values: {
    'instance.status': ['active', 'pending', 'suspended', 'resizing'],
    'instance.power_status': ['running', 'stopped'],
    'instance.server_status': ['none', 'locked', 'installingbooting', 'ok'],
    'snapshot.status': ['pending', 'complete', 'deleted'],
  },
  error: {
    type: 'object',
    required: ['error', 'status'],
    additionalProperties: false,
    properties: { error: { type: 'string', minLength: 1 }, status: { type: 'integer' } },
  },
}

/** A check of exchanges with Vultr against Vultr's own document, or why there is none. */
export function vultrSpecCheck(): SpecCheck | { missing: string } {
  const found = findSpec('vultr-v2.json')
  return 'missing' in found ? found : new SpecCheck(found.spec, OVERLAY)
}
