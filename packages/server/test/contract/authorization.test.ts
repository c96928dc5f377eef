import { endpoints } from '@agentctl/contract/api.ts'
import type { Endpoint } from '@agentctl/contract/endpoint.ts'
import type { OpenApiDocument } from '@agentctl/contract/openapi.ts'
import type { Hono } from 'hono'
import { inspectRoutes } from 'hono/dev'
import { afterEach, describe, expect, test } from 'vitest'
import { createApp } from '../../src/app.ts'
import type { Deps } from '../../src/deps.ts'
import type { Sql } from '../../src/platform/db.ts'
import { expectations } from './expectations.ts'
import { runMatrix } from './matrix.ts'
import { type ServedApi, servedApi } from './served-api.ts'

const api = await servedApi()

test('everybody may do what the table says and nothing else, and of others nothing is seen or changed', async () => {
  const { cells, wrong } = await runMatrix(api, api.app)
  process.stdout.write(`authorization: ${cells} cells, ${wrong.length} wrong\n`)
  expect(wrong).toEqual([])
  expect(cells).toBeGreaterThan(1500)
}, 240_000)

test('every route that is mounted is in the document, and every operation says who may call it', () => {
  expect(strayRoutes(api.app, api.document)).toEqual([])
  expect(withoutAccess(api.document)).toEqual([])
  expect(Object.keys(expectations).sort()).toEqual(
    api.operations.map(({ operationId }) => operationId).sort(),
  )
})

test('a stray route and one without access are found', () => {
  const app = createApp(api.deps)
  app.get('/v1/backdoor', (c) => c.text('open'))
  expect(strayRoutes(app, api.document)).toEqual(['GET /v1/backdoor'])
  const document = structuredClone(api.document)
  const whoami = document.paths['/v1/whoami']?.get as Record<string, unknown> | undefined
  delete whoami?.['x-access']
  expect(withoutAccess(document)).toEqual(['whoami'])
})

describe('the matrix turns red when', () => {
  const undo: (() => void)[] = []
  afterEach(() => {
    for (const one of undo.splice(0)) one()
  })
  const change = <K extends keyof Endpoint>(
    route: keyof typeof endpoints,
    key: K,
    value: Endpoint[K],
  ): void => {
    const endpoint: Endpoint = endpoints[route]
    const kept = endpoint[key]
    endpoint[key] = value
    undo.push(() => {
      endpoint[key] = kept
    })
  }
  const mutated = async (only: string[], deps: Partial<Deps> = {}): Promise<string> =>
    (await runMatrix(api, createApp({ ...api.deps, ...deps }), { only })).wrong.join('\n')

  test('an endpoint asks for a lower role', async () => {
    change('DELETE /v1/agents/:agent', 'access', { scope: 'agents:write', role: 'viewer' })
    expect(await mutated(['deleteAgent'])).toContain('deleteAgent as a session of the viewer on own: let in')
  })

  test('an endpoint asks for another scope', async () => {
    change('GET /v1/billing/balance', 'access', { scope: 'agents:read' })
    expect(await mutated(['showBalance'])).toContain(
      'showBalance as a key without billing:read on own: let in',
    )
  })

  test('an endpoint of people lets keys in', async () => {
    change('POST /v1/namespaces', 'access', 'account')
    expect(await mutated(['createNamespace'])).toContain(
      'createNamespace as a key of the owner on own: let in',
    )
  })

  test('an endpoint lets anybody in', async () => {
    change('GET /v1/billing/deposit-addresses', 'access', 'public')
    expect(await mutated(['listDepositAddresses'])).toMatch(
      /listDepositAddresses as nobody on own: .*, not 401/,
    )
  })

  test('keys never end', async () => {
    const wrong = await mutated(['listNamespaces'], { db: { ...api.deps.db, ...endless(api) } })
    expect(wrong).toContain('as an expired key on own: let in')
    expect(wrong).toContain('as a revoked key on own: let in')
  })

  test('row-level security is off', async () => {
    const all = { as: (_: unknown, run: (tx: Sql) => Promise<unknown>) => api.sql.begin((tx) => run(tx)) }
    const wrong = await mutated(['showDeposit'], { db: { ...api.deps.db, ...all } as unknown as Deps['db'] })
    expect(wrong).toContain('showDeposit as a session of the owner on other: let in')
  })
})

/** A database that says of no key and no session that it has ended. */
function endless({ deps }: ServedApi): Pick<Deps['db'], 'read'> {
  const unending = (row: unknown): object => ({ ...(row as object), expiresAt: null, revokedAt: null })
  return {
    read: async (caller, query) => {
      const rows = await deps.db.read(caller, query)
      return caller.presented === undefined ? rows : (rows.map(unending) as never)
    },
  }
}

function strayRoutes(app: Hono, document: OpenApiDocument): string[] {
  return inspectRoutes(app)
    .filter(({ isMiddleware }) => !isMiddleware)
    .filter(({ method, path }) => !document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()])
    .map(({ method, path }) => `${method} ${path}`)
}

function withoutAccess(document: OpenApiDocument): string[] {
  return Object.values(document.paths)
    .flatMap((methods) => Object.values(methods))
    .filter((operation) => !operation['x-access'] || !Array.isArray(operation.security))
    .map(({ operationId }) => operationId)
}
