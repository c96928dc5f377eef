import { findSpec, type Spec, SpecCheck, type SpecOverlay } from '../spec-check.ts'
import { flatSpec } from './flat-spec.ts'

const OVERLAY: SpecOverlay = {
  basePath: '/client/v4',
  open: [],
  optional: [],
  answersHave: 'required and nullable',
  values: {},
  error: {
    type: 'object',
    required: ['success', 'errors', 'messages', 'result'],
    additionalProperties: false,
    properties: {
      success: { const: false },
      errors: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          required: ['code', 'message'],
          additionalProperties: false,
          properties: { code: { type: 'integer', minimum: 1000 }, message: { type: 'string', minLength: 1 } },
        },
      },
      messages: { type: 'array' },
      result: { type: 'null' },
    },
  },
}

/**
 * What Cloudflare has come to say since the document was written, as its own client knows it, and what the document
 * leaves open.
 */
const NEWER: Record<string, object> = {
  'tls-certificates-and-hostnames_identifier': { maxLength: 36 },
  'dns-records_comment': { nullable: true },
}
const NEWER_PROPERTIES: Record<string, Record<string, object>> = {
  zones_zone: {
    status: { enum: ['initializing', 'pending', 'active', 'moved'] },
    paused: { type: 'boolean' },
    type: { enum: ['full', 'partial', 'secondary'] },
  },
}
const NEWER_FILTERS: Record<string, string[]> = {
  '/zones/{zone_id}/custom_hostnames': ['hostname.exact', 'hostname.contain', 'hostname.startsWith'],
  '/zones/{zone_id}/dns_records': ['name.exact'],
}
const ORIGIN = {
  type: 'object',
  required: ['origin', 'status', 'created_at', 'updated_at'],
  properties: {
    origin: { type: 'string' },
    status: {
      enum: [
        'initializing',
        'pending_deployment',
        'pending_deletion',
        'active',
        'deployment_timed_out',
        'deletion_timed_out',
      ],
    },
    errors: { type: 'array', items: { type: 'string' } },
    created_at: { type: 'string', format: 'date-time' },
    updated_at: { type: 'string', format: 'date-time' },
  },
}

/** A check of exchanges with Cloudflare against Cloudflare's own document, or why there is none. */
export function cloudflareSpecCheck(): SpecCheck | { missing: string } {
  const found = findSpec('cloudflare-v4.overlaid.json')
  return 'missing' in found ? found : new SpecCheck(flatSpec(withNewer(found.spec)), OVERLAY)
}

function withNewer(spec: Spec): Spec {
  const copy = structuredClone(spec)
  const schemas = copy.components.schemas as Record<string, { properties?: Record<string, object> }>
  const named = (name: string): { properties?: Record<string, object> } => {
    const found = schemas[name]
    if (!found) throw new Error(`The overlay names ${name}, which the document does not have.`)
    return found
  }
  for (const [name, change] of Object.entries(NEWER)) Object.assign(named(name), change)
  for (const [name, properties] of Object.entries(NEWER_PROPERTIES)) {
    Object.assign(named(name).properties ?? {}, properties)
  }
  const answer = named('tls-certificates-and-hostnames_fallback_origin_response') as { allOf?: object[] }
  answer.allOf?.push({ type: 'object', properties: { result: ORIGIN } })
  for (const [path, names] of Object.entries(NEWER_FILTERS)) {
    const listed = copy.paths[path]?.get
    listed?.parameters?.push(...names.map((name) => ({ in: 'query', name, schema: { type: 'string' } })))
  }
  return copy
}
