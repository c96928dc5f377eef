import { createServer, type Server } from 'node:http'
import { endpoints } from '@agentctl/contract/api.ts'
import { createApp } from '@agentctl/server/app.ts'
import { page } from '@agentctl/server/platform/answers.ts'
import { closeServer, listen } from '@agentctl/server/platform/http-server.ts'
import { pages, SESSION_COOKIE } from '@agentctl/server/privacy/evidence/pages.ts'
import { refuse } from '@agentctl/server/router/refusal-page.ts'
import { everyRefusal } from '@agentctl/server/router/test-refusals.ts'
import { afterAll, expect, test } from 'vitest'
import { servedApi } from '../../packages/server/test/contract/served-api.ts'
import { isThorough } from '../thorough.ts'
import { browserHindrance, crawl, type Seen } from './browser.ts'

if (browserHindrance) process.stdout.write(`${browserHindrance}\n`)
// In CI there has to be one: what is skipped there is missed by nobody.
const testInBrowser = test.skipIf(browserHindrance !== undefined && !isThorough)
/** A browser, and a dozen and a half of tabs, on a machine that has other things to do. */
const TIMEOUT_MS = 120_000

const api = await servedApi()
const refusals = everyRefusal('hello')
const servers: Server[] = []
const ports = new Map<string, number>()
/** Serves a site of ours: names under `.localhost` are a secure context, as HTTPS is. */
async function serve(host: string, fetch: (request: Request) => Response | Promise<Response>): Promise<void> {
  keep(host, await listen(fetch, '127.0.0.1', 0))
}
function keep(host: string, server: Server): void {
  servers.push(server)
  const address = server.address()
  ports.set(host, typeof address === 'object' && address ? address.port : 0)
}
afterAll(() => Promise.all(servers.map((server) => closeServer(server, 0))))

await serve('api.localhost', api.app.fetch)
const router = createServer((incoming, outgoing) => {
  const refusal = refusals[Number(incoming.url?.slice(1))]
  if (refusal) refuse(incoming, outgoing, refusal, 'req_1')
  else outgoing.writeHead(404).end()
})
await new Promise<void>((resolve) => router.listen(0, '127.0.0.1', resolve))
keep('agents.localhost', router)

const visit = (...starts: string[]): Promise<Seen> => crawl(starts, (host) => ports.get(host))

/** Addresses at which anything that is mounted answers a browser with a page, whatever the contract says. */
async function answeringPages(app: typeof api.app): Promise<string[]> {
  const paths = new Set(app.routes.flatMap(({ method, path }) => (method === 'GET' ? [path] : [])))
  const found: string[] = []
  for (const path of paths) {
    const answer = await app.request(path.replaceAll(/:\w+/g, 'x'), { headers: { accept: 'text/html' } })
    if (answer.headers.get('content-type')?.startsWith('text/html')) found.push(path)
  }
  return found.sort()
}

testInBrowser(
  '8a, 8b, 8c: no page sets a cookie but that of the session, keeps anything, or wants anything from elsewhere',
  async () => {
    const all = [
      ...pages.map((path) => `http://api.localhost${path}`),
      ...refusals.map((_, at) => `http://agents.localhost/${at}`),
    ]
    const { pages: opened, cookies, ...found } = await visit('http://api.localhost/', ...all)
    expect({ ...found, cookies: cookies.filter((name) => name !== SESSION_COOKIE) }).toEqual({
      elsewhere: [],
      cookies: [],
      refused: [],
      stored: [],
    })
    expect(opened.sort()).toEqual(all.sort())
  },
  TIMEOUT_MS,
)

test('what answers a browser with a page is one of those that are opened, and needs no login', async () => {
  expect(await answeringPages(api.app)).toEqual([...pages].sort())
  const access = pages.map((path) => endpoints[`GET ${path}` as keyof typeof endpoints].access)
  expect(new Set(access)).toEqual(new Set(['public']))
})

testInBrowser(
  'each of these is found where it is planted, behind a link',
  async () => {
    const scripted = '<script src="https://analytics.example/x.js"></script>'
    const keeping = `<script>localStorage.setItem('visitor', '1'); indexedDB.open('visits')</script>`
    const planted: Record<string, () => Response> = {
      '/': () => page(linksTo(Object.keys(planted))),
      '/script': () => unguarded(scripted),
      '/guarded-script': () => page(scripted),
      '/style': () => page('<p style="color:red">'),
      '/cookies': () => unguarded('', 'track=1; HttpOnly', `${SESSION_COOKIE}=1; Secure; HttpOnly; Path=/`),
      '/elsewhere': () => unguarded('<a href="https://other.example/">followed by nobody</a>'),
      '/keeping': () => unguarded(keeping),
    }
    await serve('planted.localhost', ({ url }) => planted[new URL(url).pathname]?.() ?? page(''))
    const origin = 'http://planted.localhost'
    const { pages: opened, ...found } = await visit(`${origin}/`)
    expect(opened).toEqual(Object.keys(planted).map((path) => `${origin}${path}`))
    expect(found).toEqual({
      elsewhere: ['https://analytics.example/x.js', 'https://analytics.example:443'],
      cookies: ['track', SESSION_COOKIE],
      refused: [
        expect.stringMatching(/script .* violates the following Content Security Policy/),
        expect.stringMatching(/style violates the following Content Security Policy/),
      ],
      stored: [`${origin} localStorage`, `${origin} indexedDB`],
    })
    const other = createApp(api.deps)
    other.get('/welcome', (c) => c.html('<p>Nobody told the contract.'))
    expect(await answeringPages(other)).toEqual([...pages, '/welcome'].sort())
  },
  TIMEOUT_MS,
)

const linksTo = (paths: string[]): string =>
  paths.map((path) => `<a href="${path}#top">${path}</a>`).join(' ')

function unguarded(html: string, ...cookies: string[]): Response {
  const headers = new Headers({ 'content-type': 'text/html' })
  for (const cookie of cookies) headers.append('set-cookie', cookie)
  return new Response(html, { headers })
}
