import { openLedgerKey } from '../billing/ledger-key.ts'
import type { Deps } from '../deps.ts'
import type { Api } from '../platform/http.ts'
import { planErasure } from './erasure-plan.ts'
import { showErasure, startErasure } from './erasures.ts'
import { exportAccount } from './export.ts'

/** What somebody may ask for about their account: to see it, and to have it deleted. */
export function rightsRoutes(api: Api, deps: Pick<Deps, 'config' | 'db' | 'clock'>): void {
  const key = openLedgerKey(deps.config.ledgerKeyFile)
  api.on('GET /v1/account/export', async ({ caller }) => {
    const parts = await exportAccount(deps, caller)
    return new Response(ReadableStream.from(encoded(parts)), {
      headers: { 'content-type': 'application/json' },
    })
  })
  api.on('GET /v1/account/erasure-plan', ({ caller }) => planErasure(deps, caller))
  api.on('POST /v1/account/erasure', ({ caller, body }) => startErasure(deps, caller, body, key))
  api.on('POST /v1/erasures/:erasure', ({ params, body }) =>
    showErasure(deps, { id: params.erasure, token: body.token }, key),
  )
}

async function* encoded(parts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  for await (const part of parts) yield encoder.encode(part)
}
