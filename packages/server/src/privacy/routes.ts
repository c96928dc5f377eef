import type { Deps } from '../deps.ts'
import { enact } from '../operators/acts.ts'
import { page } from '../platform/answers.ts'
import type { Api } from '../platform/http.ts'
import { logLine } from '../platform/log.ts'
import { policyPage } from './policy-page.ts'
import { policiesAt, publication } from './policy-versions.ts'
import { listRequestsOf } from './request-log-store.ts'
import { keepReport, verifyPolicy } from './verification.ts'

const LISTED = 500

export function privacyRoutes(
  api: Api,
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'egress'>,
  published = publication,
): void {
  const report = keepReport(() =>
    verifyPolicy({
      ...deps,
      text: policiesAt(deps.clock.now(), published).current.text,
      published,
      cookies: () => [...api.cookiesSet],
      logLine,
      mounted: new Set(api.app.routes.map(({ method, path }) => `${method} ${path}`)),
      ask: async (path) => api.app.request(path),
    }),
  )
  api.on('GET /policy', async () =>
    page(String(await policyPage(policiesAt(deps.clock.now(), published), deps.config.privacyContact))),
  )
  api.on('GET /v1/policy', report)
  api.on('GET /v1/operator/requests', ({ caller, query: { account } }) =>
    enact(deps, { ...caller, act: 'listRequests', subject: account }, async (tx, now) => {
      const requests = await listRequestsOf(tx, account, { now, limit: LISTED })
      return { requests: requests.map((one) => ({ ...one, at: one.at.toISOString() })) }
    }),
  )
}
