import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DeployPlan, Release } from '@agentctl/contract/agents.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answers, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const at = '2026-11-23T00:00:00Z'
const agent = {
  id: 'agt_1',
  name: 'bot',
  namespace: 'demo',
  url: 'http://bot-demo.agents.localhost:8788',
  status: 'starting' as const,
  size: 'small' as const,
  region: 'icn',
  release: null,
  domains: [],
  suspendsAt: null,
  transfer: null,
  step: null,
  snapshotDeletedAt: null,
}
const release: Release = {
  id: 'rel_1',
  agentId: 'agt_1',
  number: 1,
  status: 'pending',
  step: 'booting a machine',
  failure: null,
  timings: {},
  repeats: null,
  files: 2,
  createdAt: at,
  liveAt: null,
}
const price = { hourlyMicros: '20000' }
const balance = { creditsMicros: '5000000', runwaySeconds: null }

let machine: Machine
let api: FakeApi
let answers: Answers
let env: Record<string, string>
let folder: string
const stored = new Map<string, Buffer>()

beforeEach(async () => {
  stored.clear()
  machine = await newMachine()
  folder = join(machine.home, 'bot')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts: { start: 'node index.js' } }))
  writeFileSync(join(folder, 'index.js'), 'listen()')
  writeFileSync(join(folder, '.env'), 'SECRET=1')
  answers = {
    'POST /v1/deploys/plan': ({ body }) => {
      const { files } = body as { files: { sha256: string; size: number }[] }
      const missing = files.filter(({ sha256 }) => !stored.has(sha256))
      return {
        agent: { name: 'bot', namespace: 'demo', url: null, exists: false },
        changes: ['make a machine of size small', 'deploy release 1'],
        domains: { attach: [], refused: [], keep: [] },
        upload: {
          files: files.length,
          missing: missing.map(({ sha256 }) => sha256),
          missingBytes: missing.reduce((sum, { size }) => sum + size, 0),
        },
        price,
        balance,
        timeline: [
          { state: 'running', at: null, hourlyMicros: '20000', consequence: 'serves' },
          { state: 'suspended', at: '2999-01-01T00:00:00.000Z', hourlyMicros: '0', consequence: 'rests' },
        ],
      }
    },
    'POST /v1/blobs': ({ raw }) => {
      let count = 0
      for (let offset = 0; offset < raw.length; count++) {
        const sha256 = raw.subarray(offset, offset + 32).toString('hex')
        const size = Number(raw.readBigUInt64BE(offset + 32))
        const bytes = raw.subarray(offset + 40, offset + 40 + size)
        if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw new Error('wrong hash')
        stored.set(sha256, bytes)
        offset += 40 + size
      }
      return { stored: count, bytes: raw.length }
    },
    'POST /v1/deploys': () => ({ agent, release, price, balance }),
    'GET /v1/releases/:release': () => ({
      ...release,
      status: 'live',
      step: null,
      liveAt: at,
      timings: { machineMs: 900, fetchMs: 10, startMs: 70, healthMs: 12, totalMs: 1100 },
    }),
    'GET /v1/agents/:agent': () => ({ ...agent, status: 'running', release: { id: 'rel_1', number: 1 } }),
  }
  api = await startFakeApi(answers)
  env = { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_1' }
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const routes = () => api.asked.map(({ route }) => route)

describe('a deploy', () => {
  test('prints the address on stdout and everything else on stderr', async () => {
    const ran = await machine.run(['deploy', 'bot'], { env })
    expect({ ...ran, stderr: ran.stderr.replace(/[\d.]+ s\./, 'N s.') }).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "New agent bot in demo · Node (package.json) · small, $0.02 an hour
      Release 1 of bot is live after N s.
      ",
        "stdout": "http://bot-demo.agents.localhost:8788
      ",
      }
    `)
    expect([...stored.values()].map(String)).toContain('listen()')
    expect([...stored.values()].map(String)).not.toContain('SECRET=1')
  })

  test('with --json is the one document that others build on', async () => {
    const ran = await machine.run(['deploy', 'bot', '--json'], { env })
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(ran.stdout)).toEqual({
      agent: { id: 'agt_1', name: 'bot', namespace: 'demo', url: agent.url, status: 'running' },
      release: { id: 'rel_1', number: 1, status: 'live' },
      upload: { files: 2, uploadedFiles: 2, uploadedBytes: expect.any(Number) },
      price,
      balance,
      timings: expect.objectContaining({
        startMs: 70,
        hashMs: expect.any(Number),
        uploadMs: expect.any(Number),
      }),
    })
  })

  test('uploads nothing that is there already', async () => {
    await machine.run(['deploy', 'bot'], { env })
    const again = await machine.run(['deploy', 'bot', '--json'], { env })
    expect(JSON.parse(again.stdout).upload).toEqual({ files: 2, uploadedFiles: 0, uploadedBytes: 0 })
    expect(routes().filter((route) => route === 'POST /v1/blobs')).toHaveLength(1)
  })

  test('uploads again, once, what the service lost between plan and deploy', async () => {
    let lost = false
    answers['POST /v1/deploys'] = () => {
      if (lost) return { agent, release, price, balance }
      lost = true
      stored.clear()
      return refusal('blobs_missing', 'Two blobs are missing')
    }
    const ran = await machine.run(['deploy', 'bot'], { env })
    expect(ran.code).toBe(0)
    expect(routes().filter((route) => route === 'POST /v1/blobs')).toHaveLength(2)
  })

  test('that fails its health check is exit 1, with the ids on stdout and the last lines of the log', async () => {
    answers['GET /v1/releases/:release'] = () => ({
      ...release,
      status: 'failed',
      step: null,
      failure: {
        reason: 'exited',
        message: 'The process exited with status 1',
        logTail: ['boom \u001b[31mred'],
      },
    })
    answers['GET /v1/agents/:agent'] = () => ({ ...agent, status: 'failing', release: null })
    const people = await machine.run(['deploy', 'bot'], { env })
    expect(people).toMatchInlineSnapshot(`
      {
        "code": 1,
        "stderr": "New agent bot in demo · Node (package.json) · small, $0.02 an hour
      Last lines of release 1:
        boom �[31mred
      error: Release 1 of bot failed: The process exited with status 1
      Nothing serves at its address. See: agentctl agents logs bot
      ",
        "stdout": "",
      }
    `)
    const programs = await machine.run(['deploy', 'bot', '--json'], { env })
    expect(programs.code).toBe(1)
    expect(JSON.parse(programs.stdout)).toMatchObject({
      agent: { id: 'agt_1', status: 'failing' },
      release: { id: 'rel_1', number: 1, status: 'failed' },
    })
    expect(JSON.parse(programs.stderr)).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "release_failed",
          "fix": "Nothing serves at its address. See: agentctl agents logs bot",
          "message": "Release 1 of bot failed: The process exited with status 1",
          "next": [
            "agentctl agents logs bot",
          ],
          "requestId": null,
        },
      }
    `)
  })

  test('that takes longer than --timeout is exit 8, with the ids on stdout', async () => {
    answers['GET /v1/releases/:release'] = () => release
    const ran = await machine.run(['deploy', 'bot', '--timeout', '0s', '--json'], { env })
    expect(ran.code).toBe(8)
    expect(JSON.parse(ran.stdout).release).toEqual({ id: 'rel_1', number: 1, status: 'pending' })
    expect(JSON.parse(ran.stderr).error).toMatchObject({
      code: 'still_in_progress',
      next: ['agentctl agents show bot', 'agentctl agents logs bot'],
    })
  })

  test('with --no-wait does not wait', async () => {
    const ran = await machine.run(['deploy', 'bot', '--no-wait'], { env })
    expect(ran).toMatchObject({ code: 0, stdout: `${agent.url}\n` })
    expect(routes()).not.toContain('GET /v1/releases/:release')
  })

  test('survives a service that goes away for a moment while it waits', async () => {
    let asks = 0
    const live = answers['GET /v1/releases/:release']
    answers['GET /v1/releases/:release'] = (asked) => {
      asks++
      if (asks < 3) return { status: 503, body: 'restarting' }
      return live?.(asked) ?? release
    }
    expect((await machine.run(['deploy', 'bot'], { env })).code).toBe(0)
  })

  test('that is interrupted says that it goes on, and how to look, with exit 130', async () => {
    let waiting: () => void = () => {}
    const reached = new Promise<void>((resolve) => {
      waiting = resolve
    })
    answers['GET /v1/releases/:release'] = () => {
      waiting()
      return new Promise(() => {})
    }
    const running = machine.start(['deploy', 'bot'], { env })
    await reached
    running.child.kill('SIGINT')
    const ran = await running.ended
    expect(ran.code).toBe(130)
    expect(ran.stdout).toBe('')
    expect(ran.stderr).toMatch(/Interrupted\nThe release goes on without you: agentctl agents show bot\n$/)
  })

  test('that is interrupted before its answer does not claim that nothing was deployed', async () => {
    let asked: () => void = () => {}
    const reached = new Promise<void>((resolve) => {
      asked = resolve
    })
    answers['POST /v1/deploys'] = () => {
      asked()
      return new Promise(() => {})
    }
    const running = machine.start(['deploy', 'bot'], { env })
    await reached
    running.child.kill('SIGINT')
    const ran = await running.ended
    expect(ran.code).toBe(130)
    expect(ran.stderr).toMatch(
      /Interrupted\nWhether it was deployed is not known yet: agentctl agents releases bot\n$/,
    )
  })

  test('is refused with exit 5 when the account may not have another machine', async () => {
    answers['POST /v1/deploys'] = () => refusal('agent_limit', 'The account has 3 machines, and may have 3')
    expect((await machine.run(['deploy', 'bot'], { env })).code).toBe(5)
  })
})

describe('what an agent may cost', () => {
  const bodyOf = (route: string) => api.asked.find((asked) => asked.route === route)?.body

  test('goes with the plan and the deploy; what is not said stays as it is', async () => {
    await machine.run(['deploy', 'bot', '--max-hourly', '0.05', '--max-total', 'none'], { env })
    for (const route of ['POST /v1/deploys/plan', 'POST /v1/deploys']) {
      expect(bodyOf(route)).toMatchObject({ maxHourlyMicros: '50000', maxTotalMicros: null })
    }
    api.asked.length = 0
    await machine.run(['deploy', 'bot'], { env })
    expect(bodyOf('POST /v1/deploys')).not.toHaveProperty('maxHourlyMicros')
    expect(bodyOf('POST /v1/deploys')).not.toHaveProperty('maxTotalMicros')
  })

  test.each(['0', '-1', '1e3', 'nothing', ''])('%j is no amount, and nothing is sent', async (amount) => {
    const ran = await machine.run(['deploy', 'bot', '--max-hourly', amount], { env })
    expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--max-hourly') })
    expect(api.asked).toEqual([])
  })

  test('is exit 5 when the machine costs more', async () => {
    answers['POST /v1/deploys'] = () =>
      refusal('spend_limit', 'A small machine costs $0.02 an hour; bot may cost $0.01.')
    const { code, stderr } = await machine.run(['deploy', 'bot', '--max-hourly', '0.01', '-q'], { env })
    expect({ code, stderr }).toMatchInlineSnapshot(`
      {
        "code": 5,
        "stderr": "error: A small machine costs $0.02 an hour; bot may cost $0.01.
      See and change limits: agentctl billing limits
      ",
      }
    `)
  })

  test('is exit 5 without credits, and names what to do', async () => {
    answers['POST /v1/deploys'] = () =>
      refusal('insufficient_credits', 'To run bot needs $0.025; $0.025 are missing.')
    const ran = await machine.run(['deploy', 'bot', '--json'], { env })
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 5, stdout: '' })
    expect(JSON.parse(ran.stderr).error).toMatchInlineSnapshot(`
      {
        "code": "insufficient_credits",
        "fix": "Top up: agentctl billing deposit 25",
        "message": "To run bot needs $0.025; $0.025 are missing.",
        "next": [
          "agentctl billing deposit 25",
        ],
        "requestId": "req_1",
      }
    `)
  })
})

describe('--dry-run', () => {
  test('shows what would happen and is exit 3 when anything would', async () => {
    const ran = await machine.run(['deploy', 'bot', '--dry-run'], { env })
    expect({ ...ran, stdout: ran.stdout.replace(/in \d+ days/, 'in … days') }).toMatchInlineSnapshot(`
      {
        "code": 3,
        "stderr": "",
        "stdout": "bot in demo:
        make a machine of size small
        deploy release 1
        Upload: 2 of 2 files, 45 B
        Price: $0.02 an hour while it runs
        Credits: $5.00

      What each state costs, and what it means:
        running    $0.02 an hour. serves
        suspended  $0.00 an hour, in … days (2999-01-01T00:00:00.000Z) as things
                   are. rests
      ",
      }
    `)
    expect(routes()).toEqual(['POST /v1/deploys/plan'])
    const json = await machine.run(['deploy', 'bot', '--dry-run', '--json'], { env })
    expect({ code: json.code, stderr: json.stderr }).toEqual({ code: 3, stderr: '' })
    expect(JSON.parse(json.stdout).changes).toHaveLength(2)
  })

  test('is refused where the deploy would be, with its exit code', async () => {
    answers['POST /v1/deploys/plan'] = () =>
      refusal('insufficient_credits', 'To run bot needs $0.025; $0.025 are missing.')
    const dry = await machine.run(['deploy', 'bot', '--dry-run'], { env })
    expect(dry).toEqual(await machine.run(['deploy', 'bot'], { env }))
    expect(dry).toMatchObject({ code: 5, stdout: '' })
  })

  test('says which names of agent.json will not be attached, which stops no deploy', async () => {
    const plan = answers['POST /v1/deploys/plan']
    answers['POST /v1/deploys/plan'] = async (asked) => {
      const answer = (await plan?.(asked)) as DeployPlan
      const refused = [
        {
          hostname: 'co.uk',
          code: 'invalid_hostname',
          message: 'co.uk is a public suffix.',
          fix: 'Give a name of your own such as bot.example.com.',
        },
      ]
      return { ...answer, changes: [], domains: { attach: ['co.uk'], refused, keep: [] } }
    }
    const { code, stdout } = await machine.run(['deploy', 'bot', '--dry-run'], { env })
    expect({ code, start: stdout.split('\n').slice(0, 4) }).toMatchInlineSnapshot(`
      {
        "code": 0,
        "start": [
          "bot in demo is up to date.",
          "  The domain co.uk will not be attached: co.uk is a public suffix. Give a name",
          "    of your own such as bot.example.com.",
          "  Upload: 2 of 2 files, 45 B",
        ],
      }
    `)
  })

  test('is exit 0 when nothing would', async () => {
    const plan = answers['POST /v1/deploys/plan']
    answers['POST /v1/deploys/plan'] = async (asked) => {
      const answer = await plan?.(asked)
      return { ...(answer as Extract<typeof answer, { changes: string[] }>), changes: [] }
    }
    expect((await machine.run(['deploy', 'bot', '--dry-run'], { env })).code).toBe(0)
  })
})

describe('bad input is exit 2 before anything is sent', () => {
  test.each([
    ['a folder that is not there', ['deploy', 'absent']],
    ['a file instead of a folder', ['deploy', 'bot/index.js']],
    ['an empty folder', ['deploy', 'empty']],
    ['a folder that says nothing about its start', ['deploy', 'mute']],
    ['a broken agent.json', ['deploy', 'broken']],
  ])('%s', async (_, args) => {
    mkdirSync(join(machine.home, 'empty'))
    mkdirSync(join(machine.home, 'mute'))
    writeFileSync(join(machine.home, 'mute', 'notes.txt'), 'x')
    mkdirSync(join(machine.home, 'broken'))
    writeFileSync(join(machine.home, 'broken', 'agent.json'), '{\n  "port": "8080"\n}')
    const ran = await machine.run(args, { env })
    expect({ code: ran.code, stdout: ran.stdout, asked: api.asked }).toEqual({
      code: 2,
      stdout: '',
      asked: [],
    })
    expect(ran.stderr.replaceAll(machine.home, 'HOME')).toMatchSnapshot()
  })
})

describe('secrets', () => {
  test('come from stdin, never from the line, and are never empty', async () => {
    answers['PATCH /v1/agents/:agent/secrets'] = () => ({ set: ['TOKEN'], unset: [] })
    const set = await machine.run(['secrets', 'set', 'bot', 'TOKEN'], { env, input: 'value \n' })
    expect(set.code).toBe(0)
    expect(api.asked.at(-1)?.body).toEqual({ secrets: { TOKEN: 'value ' } })
    expect(set.stdout + set.stderr).not.toContain('value')
    const line = await machine.run(['secrets', 'set', 'bot', 'TOKEN=value'], { env })
    expect(line.code).toBe(2)
    const empty = await machine.run(['secrets', 'set', 'bot', 'TOKEN'], { env, input: '\n' })
    expect(empty).toMatchObject({ code: 2, stderr: expect.stringContaining('is empty; nothing was set') })
  })

  test('of an agent that does not exist yet need --create', async () => {
    let exists = false
    answers['PATCH /v1/agents/:agent/secrets'] = () =>
      exists ? { set: ['TOKEN'], unset: [] } : refusal('not_found', 'There is no such thing here')
    answers['POST /v1/agents'] = () => {
      exists = true
      return agent
    }
    const typo = await machine.run(['secrets', 'set', 'bto', 'TOKEN'], { env, input: 'x' })
    expect(typo).toMatchObject({ code: 6, stderr: expect.stringContaining('--create') })
    const made = await machine.run(['secrets', 'set', 'bot', 'TOKEN', '--create'], { env, input: 'x' })
    expect(made.code).toBe(0)
  })
})

describe('logs', () => {
  const record = (second: number, text: string) => ({
    at: `2026-11-23T00:00:0${second}Z`,
    stream: 'stdout',
    release: 1,
    text,
  })
  const ndjson = (...records: unknown[]) => ({
    status: 200,
    headers: { 'content-type': 'application/x-ndjson' },
    body: records.map((one) => `${JSON.stringify(one)}\n`).join(''),
  })

  test('are lines for people and one document for programs', async () => {
    answers['GET /v1/agents/:agent/logs'] = () => ndjson(record(1, 'one'), record(2, 'two \u001b[2J'))
    const people = await machine.run(['agents', 'logs', 'bot', '--tail', '2'], { env })
    expect(people.stdout).toMatchInlineSnapshot(`
      "2026-11-23T00:00:01Z one
      2026-11-23T00:00:02Z two �[2J
      "
    `)
    const programs = await machine.run(['agents', 'logs', 'bot', '--json'], { env })
    expect(JSON.parse(programs.stdout).logs).toHaveLength(2)
  })

  test('followed are one object a line, taken up where the connection broke, no line twice', async () => {
    let connections = 0
    answers['GET /v1/agents/:agent/logs'] = ({ query }) => {
      connections++
      if (connections === 1) return ndjson(record(1, 'one'), record(2, 'two'))
      expect(query.since).toBe(record(2, '').at)
      return ndjson(record(2, 'two'), record(2, 'more'), record(3, 'three'))
    }
    const running = machine.start(['agents', 'logs', 'bot', '-f', '--json'], { env })
    await running.said('three')
    running.child.kill('SIGINT')
    const { code, stdout } = await running.ended
    expect(code).toBe(130)
    const texts = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).text)
    expect(texts.slice(0, 4)).toEqual(['one', 'two', 'more', 'three'])
  })
})
