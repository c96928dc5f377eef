import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import type { Api } from '../platform/http.ts'
import { lazyWakes } from '../platform/wakes.ts'
import { checkDomain } from './checks.ts'
import { addDomain, awaitDomain, domainView, listDomains, removeDomain } from './domains.ts'

/** `stopping` ends waits, so that the server can stop. */
export function domainRoutes(
  api: Api,
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'liveDns'>,
  stopping: AbortSignal,
): void {
  const openWakes = lazyWakes(deps.db, 'domains')

  api.on('GET /v1/domains', async ({ caller, query, role }) => {
    const { namespace, agent } = query
    const domains = await listDomains(deps, caller, { namespace, agent }, asked(role))
    return { domains: domains.map((domain) => domainView(deps, domain)) }
  })
  api.on('POST /v1/domains', ({ caller, body, idempotencyKey = '', role }) =>
    addDomain(deps, caller, body, { idempotencyKey, role: asked(role) }),
  )
  api.on('GET /v1/domains/:domain', async ({ caller, params, query, role, signal }) => {
    const { namespace, waitSeconds = 0, status, step } = query
    const wanted = { domain: params.domain, namespace, waitSeconds, status, step }
    const until = AbortSignal.any([signal, stopping])
    const wakes = await openWakes()
    return domainView(deps, await awaitDomain({ ...deps, wakes }, caller, wanted, asked(role), until))
  })
  api.on('POST /v1/domains/:domain/check', ({ caller, params, query, role }) =>
    checkDomain(deps, caller, { domain: params.domain, namespace: query.namespace }, asked(role)),
  )
  api.on('DELETE /v1/domains/:domain', async ({ caller, params, query, role }) => {
    const wanted = { domain: params.domain, namespace: query.namespace }
    return domainView(deps, await removeDomain(deps, caller, wanted, asked(role)))
  })
}

/** The role that the contract asks for; every endpoint here has one. */
function asked(role: Role | undefined): Role {
  return role ?? 'owner'
}
