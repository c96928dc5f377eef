import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { endpoints, type ResponseOf, type RouteOf } from '@agentctl/contract/api.ts'
import type { Endpoint } from '@agentctl/contract/endpoint.ts'
import { type ProblemCode, problems } from '@agentctl/contract/problems.ts'

export interface Asked {
  route: RouteOf
  params: Record<string, string>
  query: Record<string, unknown>
  body: unknown
  raw: Buffer
  headers: IncomingHttpHeaders
}

/** An answer that is a refusal, or not what the contract says: for trying what the CLI makes of it. */
export interface Odd {
  status: number
  headers?: Record<string, string>
  body: string
}

type Answer<R extends RouteOf> = ResponseOf<R> | Odd
export type Answers = { [R in RouteOf]?: (asked: Asked) => Answer<R> | Promise<Answer<R>> }

export const refusal = (code: ProblemCode, detail: string, headers: Record<string, string> = {}): Odd => ({
  status: problems[code].status,
  headers: { 'content-type': 'application/problem+json', ...headers },
  body: JSON.stringify({
    type: `https://agentctl.dev/problems/${code}`,
    title: problems[code].title,
    status: problems[code].status,
    detail,
    code,
    fix: problems[code].fix,
    requestId: 'req_1',
  }),
})

const isOdd = (answer: unknown): answer is Odd =>
  typeof answer === 'object' &&
  answer !== null &&
  'body' in answer &&
  'status' in answer &&
  typeof answer.status === 'number'

const routes = Object.keys(endpoints) as RouteOf[]

function findRoute(method: string, path: string) {
  for (const route of routes) {
    const [routeMethod, template = ''] = route.split(' ')
    if (routeMethod !== method) continue
    const names: string[] = []
    const pattern = template.replace(/:(\w+)/g, (_, name: string) => {
      names.push(name)
      return '([^/]+)'
    })
    const match = new RegExp(`^${pattern}$`).exec(path)
    if (match) {
      const params = Object.fromEntries(
        names.map((name, index) => [name, decodeURIComponent(match[index + 1] ?? '')]),
      )
      return { route, params }
    }
  }
  return undefined
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts)
}

export interface FakeApi {
  url: string
  asked: Asked[]
  close(): Promise<void>
}

/** An API that holds both sides to the contract: requests are parsed by its schemas, and so are the answers of a test. */
export async function startFakeApi(answers: Answers): Promise<FakeApi> {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://api')
    const send = ({ status, headers = {}, body }: Odd) =>
      response.writeHead(status, { 'x-request-id': 'req_1', ...headers }).end(body)
    try {
      const raw = await readBody(request)
      const found = findRoute(request.method ?? 'GET', url.pathname)
      if (!found) return send(refusal('not_found', `no route ${request.method} ${url.pathname}`))
      const { route, params } = found
      const endpoint: Endpoint = endpoints[route]
      const query = endpoint.query?.safeParse(Object.fromEntries(url.searchParams))
      if (query?.success === false) return send(refusal('invalid_request', query.error.message))
      const body = endpoint.body?.safeParse(raw.length > 0 ? JSON.parse(raw.toString()) : undefined)
      if (body?.success === false) return send(refusal('invalid_request', body.error.message))
      if (endpoint.idempotencyKey && !request.headers['idempotency-key']) {
        return send(refusal('idempotency_key_missing', 'no key'))
      }
      if (endpoint.access !== 'public' && !request.headers.authorization) {
        return send(refusal('unauthenticated', 'You are not logged in'))
      }
      const told: Asked = {
        route,
        params,
        query: query?.data ?? {},
        body: body?.data,
        raw,
        headers: request.headers,
      }
      const answerer = answers[route]
      // Every command may ask for notices beside what it does; a test that is not about them has none.
      if (!answerer && route === 'GET /v1/notices') {
        return send({ status: 200, headers: { 'content-type': 'application/json' }, body: '{"notices":[]}' })
      }
      asked.push(told)
      if (!answerer) return send(refusal('not_found', `the test does not answer ${route}`))
      const answer = await answerer(told)
      if (isOdd(answer)) return send(answer)
      if (endpoint.status === 204) return send({ status: 204, body: '' })
      const checked = endpoint.response ? endpoint.response.parse(answer) : answer
      return send({
        status: endpoint.status ?? 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(checked),
      })
    } catch (error) {
      return send({ status: 500, body: `the test's API failed: ${error}` })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
