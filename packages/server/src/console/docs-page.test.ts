import { openApiDocument } from '@agentctl/contract/openapi.ts'
import { expect, test } from 'vitest'
import { docsPage } from './docs-page.ts'

const document = openApiDocument({ url: 'https://api.example.com', version: '1.2.3' })
const page = await docsPage(document)
/** What a reader sees, a tag apart from the next by a space. */
const text = page
  .replace(/<style>[\s\S]*?<\/style>/, '')
  .replaceAll('<wbr>', '')
  .replaceAll(/<[^>]+>/g, ' ')
  .replaceAll('&quot;', '"')
  .replaceAll(/\s+/g, ' ')

test('every endpoint is on the page, with its address, access, fields and refusals', () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { operationId }] of Object.entries(methods)) {
      expect(page).toContain(`<article id="${operationId}">`)
      expect(text).toContain(`${method.toUpperCase()} ${path} `)
    }
  }
  expect(text).toContain(
    'POST /v1/deploys Record a release and start deploying it. A login, or a key with the scope agents:write. Role: developer or above.',
  )
  expect(text).toContain('agent_limit: The account has as many machines as it may have.')
  expect(text).toContain('config.health.timeoutSeconds integer at least 1 · at most 600')
  expect(text).toContain('expiresInDays optional integer or null')
  expect(text).toContain('lastError string or null')
  expect(text).not.toContain('string,null')
})

test('links lead to places on the page, and nothing is loaded from elsewhere or run', () => {
  const places = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))
  for (const [, target = ''] of page.matchAll(/href="#([^"]+)"/g)) expect(places).toContain(target)
  expect(page).not.toMatch(/<script|src=|@import|url\(|style="| on\w+=/)
})

test('words of the contract are text, whatever is in them', async () => {
  const hostile = structuredClone(document)
  hostile.info.version = '<script>alert(1)</script>'
  expect(await docsPage(hostile)).not.toContain('<script>')
})
