import { openApiDocument } from '@agentctl/contract/openapi.ts'
import type { Hono } from 'hono'
import { z } from 'zod'
import { machineGate } from './agents/machines.ts'
import { agentRoutes } from './agents/routes.ts'
import { cardRoutes } from './billing/card-routes.ts'
import { billingRoutes } from './billing/routes.ts'
import { docsPage } from './console/docs-page.ts'
import type { Deps } from './deps.ts'
import { refusedNames } from './domains/domains.ts'
import { domainRoutes } from './domains/routes.ts'
import { callerGate } from './identity/access.ts'
import { identityRoutes } from './identity/routes.ts'
import { operatorGate } from './operators/access.ts'
import { operatorRoutes } from './operators/routes.ts'
import { page } from './platform/answers.ts'
import type { MovableClock } from './platform/clock.ts'
import { type AnsweredRequest, createApi } from './platform/http.ts'
import type { RequestLimits } from './platform/request-limits.ts'
import { VERSION } from './platform/version.ts'
import { wakePurge } from './privacy/operations.ts'
import { policyDayAt } from './privacy/policy-versions.ts'
import { rightsRoutes } from './privacy/rights-routes.ts'
import { privacyRoutes } from './privacy/routes.ts'

/** The whole API. `movable` is there in the local cloud only: with it the clock of everything can be moved. */
export function createApp(
  deps: Omit<Deps, 'machines' | 'hostnames'>,
  movable?: MovableClock,
  stopping: AbortSignal = AbortSignal.abort(),
  limits?: RequestLimits,
  answered: readonly ((request: AnsweredRequest) => void)[] = [],
): Hono {
  const api = createApi({
    gates: {
      caller: callerGate(deps),
      machine: machineGate(deps),
      operator: operatorGate(deps.config.operators),
    },
    log: deps.log,
    clientAddressHeader: deps.config.clientAddressHeader,
    https: deps.config.apiUrl.startsWith('https:'),
    limits,
    record: { clock: deps.clock, answered },
  })
  privacyRoutes(api, deps)
  api.on('GET /v1/health', async () => {
    await deps.db.ping()
    return { status: 'ok' as const, version: VERSION, time: deps.clock.now().toISOString() }
  })
  identityRoutes(api, { ...deps, policyDayAt })
  billingRoutes(api, deps, stopping)
  cardRoutes(api, deps, stopping)
  agentRoutes(api, deps, stopping, refusedNames(deps))
  domainRoutes(api, deps, stopping)
  rightsRoutes(api, deps)
  operatorRoutes(api, deps)
  const openApi = openApiDocument({ url: deps.config.apiUrl, version: VERSION })
  api.on('GET /openapi.json', async () => Response.json(openApi))
  api.on('GET /docs', async () => page(await docsPage(openApi)))
  if (movable) {
    const Move = z.strictObject({ advanceSeconds: z.number().min(0).max(315_360_000) })
    api.app.post('/_local/clock', async (c) => {
      const move = Move.safeParse(await c.req.json().catch(() => undefined))
      if (!move.success) return c.json({ error: 'Send {"advanceSeconds": seconds}.' }, 400)
      const moved = movable.advance(move.data.advanceSeconds)
      await wakePurge(deps)
      return c.json({ now: moved.toISOString() })
    })
  }
  return api.app
}
