import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Notice } from '@agentctl/contract/identity.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answers, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const credits: Notice = {
  id: 'ntc_1',
  kind: 'runway_24h',
  message:
    'Your credits last until 2026-11-24 18:00 UTC, less than 24 hours. Then your agents are suspended; their files are kept for 14 days.',
  next: 'agentctl billing deposit 25',
  createdAt: '2026-11-23T18:00:05.123Z',
  readAt: null,
}
const older: Notice = {
  ...credits,
  id: 'ntc_0',
  message: 'bot is being brought \u001b[2Jback.',
  next: null,
  createdAt: '2026-11-20T08:30:00Z',
  readAt: '2026-11-21T00:00:00Z',
}

let machine: Machine
let api: FakeApi
let answers: Answers
let env: Record<string, string>
let kept: Notice[]

beforeEach(async () => {
  machine = await newMachine()
  kept = [credits, older]
  answers = {
    'GET /v1/notices': ({ query }) => ({
      notices: kept.filter(({ readAt }) => query.unread !== 'true' || readAt === null),
    }),
    'POST /v1/notices/read': ({ body }) => {
      const { ids } = body as { ids: string[] }
      kept = kept.map((notice) =>
        ids.includes(notice.id) ? { ...notice, readAt: credits.createdAt } : notice,
      )
      return { read: ids.length }
    },
    'GET /v1/agents': () => ({ agents: [] }),
  }
  api = await startFakeApi(answers)
  env = { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_1' }
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const run = (...args: string[]) => machine.run(args, { env })
const routes = () => api.asked.map(({ route }) => route)

describe('agentctl notices', () => {
  test('shows what is new, and those are read from then on', async () => {
    const first = await run('notices')
    expect(first).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "",
        "stdout": "2026-11-23 18:00 UTC
        Your credits last until 2026-11-24 18:00 UTC, less than 24 hours. Then your
        agents are suspended; their files are kept for 14 days.
        Next: agentctl billing deposit 25
      ",
      }
    `)
    expect((await run('notices')).stdout).toBe(
      'There are no new messages. Those of before: agentctl notices --all\n',
    )
  })

  test('--all shows those of before as well, and which are new', async () => {
    expect((await run('notices', '--all')).stdout).toMatchInlineSnapshot(`
      "2026-11-23 18:00 UTC, new
        Your credits last until 2026-11-24 18:00 UTC, less than 24 hours. Then your
        agents are suspended; their files are kept for 14 days.
        Next: agentctl billing deposit 25

      2026-11-20 08:30 UTC
        bot is being brought �[2Jback.
      "
    `)
    expect(api.asked.at(-1)).toMatchObject({ route: 'POST /v1/notices/read', body: { ids: ['ntc_1'] } })
  })

  test('is one document for programs', async () => {
    const ran = await run('notices', '--json')
    expect({ ...ran, stdout: JSON.parse(ran.stdout) }).toEqual({
      code: 0,
      stdout: { notices: [credits] },
      stderr: '',
    })
    expect(kept.every(({ readAt }) => readAt !== null)).toBe(true)
  })

  test('succeeds when the service cannot be told that they were read', async () => {
    answers['POST /v1/notices/read'] = () => refusal('forbidden', 'Not with this key')
    const { code, stderr } = await run('notices')
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'The service could not be told that they were read: Not with this key\n',
    })
  })
})

describe('under any command', () => {
  test('new notices appear on stderr, each once', async () => {
    const first = await run('agents', 'list')
    expect(first).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "notice: Your credits last until 2026-11-24 18:00 UTC, less than 24 hours. Then
      your agents are suspended; their files are kept for 14 days.
        agentctl billing deposit 25
      ",
        "stdout": "No agents yet. Make one: agentctl init, then agentctl deploy
      ",
      }
    `)
    expect(await run('agents', 'list')).toEqual({ ...first, stderr: '' })
    kept = [{ ...credits, id: 'ntc_2', message: 'bot is suspended.', next: null }, ...kept]
    expect((await run('agents', 'list')).stderr).toBe('notice: bot is suspended.\n')
  })

  test('they stay unread, so that agentctl notices has them', async () => {
    await run('agents', 'list')
    expect((await run('notices')).stdout).toContain('Your credits last until')
  })

  test('many at once are counted instead of shown', async () => {
    kept = [1, 2, 3, 4, 5].map((number) => ({
      ...credits,
      id: `ntc_${number}`,
      message: `${number}.`,
      next: null,
    }))
    const { stderr } = await run('agents', 'list')
    expect(stderr).toBe('notice: 1.\nnotice: 2.\nnotice: 3.\n2 more: agentctl notices\n')
    expect((await run('agents', 'list')).stderr).toBe('')
  })

  test('they appear below a refusal too', async () => {
    answers['GET /v1/agents'] = () => refusal('forbidden', 'The key may not list agents')
    const { code, stderr } = await run('agents', 'list')
    expect(code).toBe(4)
    expect(stderr).toMatch(/^error: The key may not list agents\n.*\nnotice: Your credits last/s)
  })

  test.each([['--json'], ['--quiet']])('%s neither shows nor asks for any', async (flagName) => {
    const { code, stderr } = await run('agents', 'list', flagName)
    expect({ code, stderr, routes: routes() }).toEqual({ code: 0, stderr: '', routes: ['GET /v1/agents'] })
  })

  test('a command that needs no service asks for none', async () => {
    expect((await run('commands')).code).toBe(0)
    expect(api.asked).toEqual([])
  })

  test.each([
    ['refuses', () => refusal('unavailable', 'Down')],
    ['answers something else', () => ({ status: 200, body: '{"notices":[null,{"id":1}]}' })],
    ['answers no JSON', () => ({ status: 200, body: '<html>' })],
  ])('a service that %s fails no command', async (_, answer) => {
    answers['GET /v1/notices'] = answer
    expect(await run('agents', 'list')).toMatchObject({ code: 0, stderr: '' })
    expect(routes().filter((route) => route === 'GET /v1/notices')).toHaveLength(1)
  })

  test('a service that never answers about notices keeps nobody waiting', async () => {
    answers['GET /v1/notices'] = () => new Promise(() => {})
    // Were it waited for, this would never end.
    expect(await run('agents', 'list')).toMatchObject({ code: 0, stderr: '' })
  })

  test('what was told is kept apart from the logins', async () => {
    await run('agents', 'list')
    const path = join(machine.home, 'config', 'cache', 'notices.json')
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ told: ['ntc_1'] })
  })
})

test('a webhook is set with its secret shown once, tried, shown and removed', async () => {
  const webhook = {
    url: 'https://ops.example.com/hook',
    createdAt: new Date(Date.now() - 86_400_000).toISOString(),
    deliveredAt: null,
    failingSince: '2026-11-25T09:00:00Z',
    lastError: 'It answered with the status 500.',
  }
  answers['PUT /v1/account/webhook'] = () => ({ ...webhook, secret: 'whs_1' })
  answers['GET /v1/account/webhook'] = () => ({ webhook })
  answers['POST /v1/account/webhook/test'] = () => webhook
  answers['DELETE /v1/account/webhook'] = () => undefined as never
  const set = await run('account', 'webhook', 'set', webhook.url)
  expect(set.stdout).toMatch(/\nsecret +whs_1\n$/)
  const put = api.asked.find(({ route }) => route === 'PUT /v1/account/webhook')
  expect(put?.body).toEqual({ url: webhook.url })
  const shown = await run('account', 'webhook', 'show')
  expect(shown.stdout).toMatchInlineSnapshot(`
    "url      https://ops.example.com/hook
    set      24 h ago
    failing  since 2026-11-25T09:00:00Z: It answered with the status 500.
    "
  `)
  expect((await run('account', 'webhook', 'test')).stdout).toBe(
    `A message is on its way to ${webhook.url}.\n`,
  )
  expect((await run('account', 'webhook', 'remove')).code).toBe(0)
})
