import { expect, test } from 'vitest'
import { deployLive, file, plainConfig, sha256, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()
const [anna, bert] = [await cloud.person('anna'), await cloud.person('bert')]

test('an export has the configuration, the files and the names of secrets of the release that serves', async () => {
  await anna.call('POST', '/v1/agents', { name: 'bot' })
  await anna.call('PATCH', '/v1/agents/bot/secrets', { secrets: { API_TOKEN: 'very-secret-value' } })
  await deployLive(cloud, anna, 'bot', 'console.log(1)')
  const { status, body } = await anna.call('GET', '/v1/agents/bot/export')
  expect(status).toBe(200)
  expect(body).toEqual({
    format: 'agentctl.agent.1',
    exportedAt: expect.any(String),
    name: 'bot',
    release: 1,
    config: plainConfig,
    files: [file('index.js', 'console.log(1)')],
    domains: [],
    secrets: ['API_TOKEN'],
    maxHourlyMicros: null,
    maxTotalMicros: null,
  })
  expect(JSON.stringify(body)).not.toContain('very-secret-value')
  const contents = await anna.call('POST', '/v1/agents/bot/contents', { sha256s: [sha256('console.log(1)')] })
  expect(contents).toMatchObject({ status: 200, body: expect.stringContaining('console.log(1)') })
})

test('contents of others, and those that the release has not, are not given out, whatever hash is known', async () => {
  await bert.upload('only berts')
  for (const [person, content, code] of [
    [anna, 'only berts', 'conflict'],
    [bert, 'console.log(1)', 'not_found'],
  ] as const) {
    const answer = await person.call('POST', '/v1/agents/bot/contents', { sha256s: [sha256(content)] })
    expect(answer.body.code).toBe(code)
  }
  expect((await bert.call('GET', '/v1/agents/bot/export')).body.code).toBe('not_found')
})

test('an agent that was never deployed has nothing to export', async () => {
  await anna.call('POST', '/v1/agents', { name: 'empty' })
  expect((await anna.call('GET', '/v1/agents/empty/export')).body.code).toBe('conflict')
})

test('an export and its contents need a proof that is not older than ten minutes; a deploy goes on without', async () => {
  cloud.advance(601)
  const code = async (method: string, path: string, body?: unknown) =>
    (await anna.call(method, path, body)).body.code
  expect(await code('GET', '/v1/agents/bot/export')).toBe('reauthentication_required')
  const asked = { sha256s: [sha256('console.log(1)')] }
  expect(await code('POST', '/v1/agents/bot/contents', asked)).toBe('reauthentication_required')
  expect((await anna.deploy('bot', 'console.log(2)')).status).toBe(202)
})

test('an API key exports no agent, whatever its scopes are', async () => {
  Object.assign(anna.caller, { via: 'key', authenticatedAt: null })
  for (const [method, path, body] of [
    ['GET', '/v1/agents/bot/export'],
    ['POST', '/v1/agents/bot/contents', { sha256s: [sha256('console.log(1)')] }],
  ] as const) {
    const refused = { status: 403, body: { code: 'forbidden', fix: 'Run: agentctl login' } }
    expect(await anna.call(method, path, body)).toMatchObject(refused)
  }
})
