import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { noSuchAgent, notRunning, type Refusal } from './refusal.ts'
import { refuse } from './refusal-page.ts'
import { everyRefusal } from './test-refusals.ts'

let refusal: Refusal = noSuchAgent
const server = createServer((incoming, response) => refuse(incoming, response, refusal, 'req_1'))
let port = 0

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  port = typeof address === 'object' && address ? address.port : 0
})

afterAll(() => {
  server.close()
})

async function ask(
  because: Refusal,
  accept?: string,
  method = 'GET',
): Promise<IncomingMessage & { body: string }> {
  refusal = because
  const outgoing = request({
    port,
    host: '127.0.0.1',
    method,
    agent: false,
    headers: accept ? { accept } : {},
  })
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  return Object.assign(response, { body: await text(response) })
}

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'

test('programs get a problem document', async () => {
  const answer = await ask(notRunning('suspended', 'hello'))
  expect(answer.statusCode).toBe(503)
  expect(answer.headers).toMatchObject({
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    'x-request-id': 'req_1',
  })
  expect(JSON.parse(answer.body)).toMatchInlineSnapshot(`
    {
      "code": "agent_not_running",
      "detail": "This agent is suspended. The credits of its owner ran out, or the account was suspended. After the former a deposit brings it back: within the grace period with its files, later without.",
      "fix": "If the agent is yours: agentctl billing deposit 25",
      "reason": "suspended",
      "requestId": "req_1",
      "status": 503,
      "title": "The agent is not running",
      "type": "https://agentctl.dev/problems/agent_not_running",
    }
  `)
})

test('browsers get a page without anything from elsewhere', async () => {
  const answer = await ask(notRunning('starting', 'hello'), BROWSER)
  expect(answer.statusCode).toBe(503)
  expect(answer.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'retry-after': '3' })
  expect(answer.headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-/)
  expect(answer.body).not.toMatch(/https?:|src=|url\(|@import|<script|<link/)
  expect(answer.body.length).toBeLessThan(3000)
  expect(answer.body.replace(/<style>[\s\S]*<\/style>/, '<style>…</style>')).toMatchInlineSnapshot(`
    "<!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="robots" content="noindex">
    <meta http-equiv="refresh" content="3">
    <title>This agent is starting</title>
    <style>…</style>
    </head>
    <body>
    <main>
    <p class="status">503</p>
    <h1>This agent is starting</h1>
    <p>It has not passed its health check yet.</p>
    <p>Try again in a few seconds. If the agent is yours: <code>agentctl agents logs hello</code></p>
    <footer>Request req_1</footer>
    </main>
    </body>
    </html>
    "
  `)
})

test.each([
  ['a browser', BROWSER, 'text/html; charset=utf-8'],
  ['curl', '*/*', 'application/problem+json'],
  ['nothing', undefined, 'application/problem+json'],
  ['fetch of JSON', 'application/json, text/plain, */*', 'application/problem+json'],
  ['one who prefers JSON', 'text/html;q=0.5, application/json', 'application/problem+json'],
  ['one who prefers HTML', 'text/html, application/json;q=0.9', 'text/html; charset=utf-8'],
  ['one who refuses HTML', 'text/html;q=0, */*', 'application/problem+json'],
])('%s is answered in kind', async (_, accept, type) => {
  expect((await ask(noSuchAgent, accept)).headers['content-type']).toBe(type)
})

test('HEAD gets the head alone', async () => {
  const answer = await ask(noSuchAgent, BROWSER, 'HEAD')
  expect(answer.statusCode).toBe(404)
  expect(Number(answer.headers['content-length'])).toBeGreaterThan(100)
  expect(answer.body).toBe('')
})

test('what is in a name stays text', async () => {
  const answer = await ask(notRunning('failing', '<img src=x>'), BROWSER)
  expect(answer.body).not.toContain('<img')
})

test('each refusal says what happened and what to do', async () => {
  const lines: string[] = []
  for (const each of everyRefusal('hello')) {
    const answer = await ask(each)
    const { detail, fix, reason } = JSON.parse(answer.body)
    lines.push(`${answer.statusCode} ${reason}: ${detail} → ${fix}`)
  }
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "400 malformed: This request is not valid. Its Host header, target or framing is missing, doubled or contradicts the rest. → Send one Host header that names the agent, and a path that starts with a slash.
    404 not_found: There is no agent at this address. It may have been deleted, or the address may be misspelt. → Check the address. If the agent is yours: agentctl agents list
    503 unavailable: The service is in trouble. It cannot find out right now where this agent runs. → Try again in a minute.
    503 starting: This agent is starting. It has not passed its health check yet. → Try again in a few seconds. If the agent is yours: agentctl agents logs hello
    503 failing: This agent keeps failing. Its process ended or does not pass its health check; it is being started again. → Try again in a minute. If the agent is yours: agentctl agents logs hello
    503 stopped: This agent is stopped. Its owner can start it again; its files are kept. → If the agent is yours: agentctl agents start hello
    503 suspended: This agent is suspended. The credits of its owner ran out, or the account was suspended. After the former a deposit brings it back: within the grace period with its files, later without. → If the agent is yours: agentctl billing deposit 25
    502 unreachable: This agent did not answer. Its machine could not be reached. → Try again in a minute. If the agent is yours: agentctl agents logs hello
    502 closed: This agent did not answer. It closed the connection without an answer. → Try again in a minute. If the agent is yours: agentctl agents logs hello
    502 late: This agent did not answer. It took too long. → Try again in a minute. If the agent is yours: agentctl agents logs hello
    502 garbled: This agent did not answer. What it sent is not HTTP. → Try again in a minute. If the agent is yours: agentctl agents logs hello"
  `)
})
