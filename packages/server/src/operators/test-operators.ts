import type { Deps } from '../deps.ts'
import { createApi } from '../platform/http.ts'
import { silentLog } from '../platform/log.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import { operatorGate } from './access.ts'
import { operatorRoutes } from './routes.ts'

export interface Answer {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads out of an answer is its own affair
  body: any
}

/** The routes of operators, and two of them with their credentials. */
export function testOperators(deps: Parameters<typeof operatorRoutes>[1]) {
  const tokens = { alice: newToken('o').reveal(), bob: newToken('o').reveal() }
  const operators = Object.entries(tokens).map(([name, token]) => ({ name, tokenHash: tokenHash(token) }))
  const api = createApi({
    gates: {
      caller: async () => undefined,
      machine: async () => undefined,
      operator: operatorGate(operators),
    },
    log: silentLog,
    clientAddressHeader: undefined,
  })
  operatorRoutes(api, deps)
  const as =
    (token: string | undefined) =>
    async (method: string, path: string, body?: unknown): Promise<Answer> => {
      const response = await api.app.request(path, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: response.status, body: await response.json() }
    }
  return { app: api.app, as, alice: as(tokens.alice), bob: as(tokens.bob) }
}

/** What the log of acts says, oldest first. */
export async function actsOf({ db }: Pick<Deps, 'db'>): Promise<string[]> {
  const rows = await db.operate(
    (tx) => tx<{ line: string }[]>`
      select operator || ' ' || act || ' ' || subject || ' ' || outcome as line from operator_acts order by at, id`,
  )
  return rows.map((row) => row.line)
}
