import { expect, test } from 'vitest'
import { newId } from '../platform/ids.ts'
import { ACCOUNT_BYTES_MAX } from './limits.ts'
import { type Answer, deployLive, file, plainConfig, testCloud } from './test-cloud.ts'

const cloud = await testCloud()
await cloud.work()

type Step = { state: string; at: string | null }

test('a plan for a new agent says what is made, what travels and what it costs', async () => {
  const alice = await cloud.person('fresh')
  const request = {
    name: 'hello',
    config: plainConfig,
    files: [file('index.js', 'one'), file('copy.js', 'one')],
  }
  const { body } = await alice.call('POST', '/v1/deploys/plan', request)
  expect({ ...body, timeline: body.timeline.length }).toMatchInlineSnapshot(`
    {
      "agent": {
        "exists": false,
        "name": "hello",
        "namespace": "fresh",
        "url": null,
      },
      "balance": {
        "creditsMicros": "25000000",
        "runwaySeconds": 4500000,
      },
      "changes": [
        "Create the agent hello in the namespace fresh; its address is http://hello-fresh.agents.localhost:8788 if that is free.",
        "Start a small machine in Seoul: 1 vCPU, 2 GB of memory, 55 GB of disk.",
      ],
      "domains": {
        "attach": [],
        "keep": [],
        "refused": [],
      },
      "price": {
        "hourlyMicros": "20000",
      },
      "timeline": 5,
      "upload": {
        "files": 2,
        "missing": [
          "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        ],
        "missingBytes": 3,
      },
    }
  `)
  expect((await alice.call('GET', '/v1/agents')).body.agents).toEqual([])
})

test('a plan for what serves already has no changes', async () => {
  const alice = await cloud.person('same')
  await deployLive(cloud, alice, 'hello', 'one')
  const request = { name: 'hello', config: plainConfig, files: [file('index.js', 'one')] }
  expect((await alice.call('POST', '/v1/deploys/plan', request)).body).toMatchObject({
    changes: [],
    upload: { missing: [], missingBytes: 0 },
  })
})

test('a plan for a living agent says what changes', async () => {
  const alice = await cloud.person('changes')
  await deployLive(cloud, alice, 'hello', 'one')
  const config = {
    ...plainConfig,
    size: 'large',
    start: 'node main.js',
    install: 'npm ci',
    env: { GREETING: 'hi' },
    health: { path: null, timeoutSeconds: 60 },
  }
  const request = { name: 'hello', config, files: [file('main.js', 'two')] }
  const { body } = await alice.call('POST', '/v1/deploys/plan', request)
  expect(body.changes).toMatchInlineSnapshot(`
    [
      "Move from a small to a large machine (4 vCPU, 8 GB of memory, 160 GB of disk) with its files: the agent is away, some minutes, while they are copied and until it is healthy there; else release 1 comes back on a small machine.",
      "Change the install command from none to "npm ci".",
      "Change the start command from "node index.js" to "node main.js".",
      "Change the health path from "/" to none.",
      "Add to the environment: GREETING.",
      "Files: 1 added, 0 changed, 1 removed.",
    ]
  `)
})

test('a plan is refused where the deploy is, in the same words', async () => {
  const alice = await cloud.person('refused')
  const poor = await cloud.person('refused-poor', 20_000n)
  const banned = await cloud.person('refused-banned')
  await cloud.sql`
    insert into account_standings (account_id, state, reason, since)
    values (${banned.account}, 'suspended', 'test', now())`
  const viewer = await cloud.person('refused-viewer')
  await cloud.sql`
    insert into members (namespace_id, account_id, role, created_at)
    values (${alice.namespaceId}, ${viewer.account}, 'viewer', now())`
  await deployLive(cloud, alice, 'hello', 'one')
  expect((await alice.deploy('busy', 'one')).status).toBe(202)
  const refusals: string[] = []
  for (const [person, more, config] of [
    [alice, {}, { env: { AGENTCTL_X: '1' } }],
    [alice, { namespace: 'nowhere' }, {}],
    [viewer, { namespace: 'refused' }, {}],
    [alice, {}, { size: 'nano' }],
    [alice, { name: 'busy' }, {}],
    [alice, { maxHourlyMicros: '10000' }, {}],
    [alice, { name: 'new', maxHourlyMicros: '10000' }, {}],
    [poor, {}, {}],
    [banned, {}, {}],
  ] as const) {
    await person.upload('one')
    const files = [file('index.js', 'one')]
    const request = { name: 'hello', config: { ...plainConfig, ...config }, files, ...more }
    const plan = await person.call('POST', '/v1/deploys/plan', request)
    const deployed = await person.call('POST', '/v1/deploys', request, { 'idempotency-key': newId('req') })
    const said = ({ status, body: { code, detail, fix } }: Answer) => ({ status, code, detail, fix })
    expect(said(plan)).toEqual(said(deployed))
    refusals.push(`${plan.status} ${plan.body.code}`)
  }
  expect(refusals).toMatchInlineSnapshot(`
    [
      "400 invalid_config",
      "404 not_found",
      "403 forbidden",
      "400 invalid_config",
      "409 deploy_in_progress",
      "402 spend_limit",
      "402 spend_limit",
      "402 insufficient_credits",
      "403 account_suspended",
    ]
  `)
  expect(await cloud.sql`select 1 from agents where name = 'new'`).toEqual([])
})

test('a plan is refused where the files would be, before any of them travels', async () => {
  const alice = await cloud.person('full')
  await cloud.sql`
    insert into blobs (account_id, sha256, size, created_at, used_at)
    values (${alice.account}, ${Buffer.alloc(32)}, ${ACCOUNT_BYTES_MAX - 2}, now(), now())`
  const plan = (content: string) =>
    alice.call('POST', '/v1/deploys/plan', {
      name: 'hello',
      config: plainConfig,
      files: [file('index.js', content)],
    })
  expect((await plan('12')).status).toBe(200)
  const refused = await plan('123')
  expect(refused).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  expect(await alice.upload('123')).toMatchObject({ status: 413, body: { detail: refused.body.detail } })
})

test('the timeline says what each state costs and what becomes of the data', async () => {
  const alice = await cloud.person('time')
  const request = { name: 'hello', config: plainConfig, files: [file('index.js', 'one')] }
  const { body } = await alice.call('POST', '/v1/deploys/plan', request)
  const times = new Map<string, string | null>(body.timeline.map(({ state, at }: Step) => [state, at]))
  expect(body.timeline.map(({ at: _, ...step }: Step) => step)).toMatchInlineSnapshot(`
    [
      {
        "consequence": "Charged by the second from its first healthy moment; logs are kept for 7 days.",
        "hourlyMicros": "20000",
        "state": "running",
      },
      {
        "consequence": "The machine is released; a snapshot keeps its files.",
        "hourlyMicros": "1000",
        "state": "stopped",
      },
      {
        "consequence": "When the credits are used up: the machine is released and a snapshot is kept for 14 days. A deposit brings the agent back with its files.",
        "hourlyMicros": "0",
        "state": "suspended",
      },
      {
        "consequence": "14 days after the suspension: the files of the machine are gone; the configuration and the last release are kept.",
        "hourlyMicros": "0",
        "state": "snapshot deleted",
      },
      {
        "consequence": "Machine, files, secrets and logs are deleted at once and cannot be brought back.",
        "hourlyMicros": "0",
        "state": "deleted",
      },
    ]
  `)
  const [suspendedAt, deletedAt] = [times.get('suspended'), times.get('snapshot deleted')].map((at) =>
    Date.parse(at ?? ''),
  )
  const asked = cloud.deps.clock.now().getTime()
  // $25.00 at $0.02 an hour.
  expect(Number(suspendedAt) - asked).toBeLessThanOrEqual(1250 * 3_600_000)
  expect(Number(suspendedAt) - asked).toBeGreaterThan(1249 * 3_600_000)
  expect(Number(deletedAt) - Number(suspendedAt)).toBe(14 * 86_400_000)
  expect([times.get('running'), times.get('stopped'), times.get('deleted')]).toEqual([null, null, null])
})
