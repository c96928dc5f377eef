import { type Endpoint, pathParams, type Route } from './endpoint.ts'
import type { ProblemCode } from './problems.ts'

/** Every problem that an endpoint may answer with: those that follow from its description, and those it names itself. */
export function problemsOf(route: Route, endpoint: Endpoint): ProblemCode[] {
  const codes: ProblemCode[] = ['invalid_request']
  const { access } = endpoint
  if (endpoint.idempotencyKey) {
    codes.push('idempotency_key_missing', 'idempotency_in_flight', 'idempotency_mismatch')
  }
  // To whoever is no operator, such an endpoint does not exist.
  if (access === 'operator') codes.push('not_found')
  else if (access !== 'public') codes.push('unauthenticated')
  if (access === 'session' || typeof access === 'object') codes.push('forbidden')
  if (pathParams(route).length > 0 || namesNamespace(endpoint)) codes.push('not_found')
  if (endpoint.body || endpoint.rawBody) codes.push('payload_too_large', 'unsupported_media_type')
  // Any of them may find the database away.
  codes.push(...(endpoint.problems ?? []), 'rate_limited', 'internal', 'unavailable')
  return [...new Set(codes)]
}

function namesNamespace({ query, body }: Endpoint): boolean {
  return [query, body].some(
    (schema) => schema && 'shape' in schema && 'namespace' in (schema.shape as object),
  )
}
