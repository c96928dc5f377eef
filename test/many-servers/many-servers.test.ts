import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { keepFile } from '@agentctl/localcloud/kept-file.ts'
import { type Postgres, startPostgres } from '@agentctl/localcloud/postgres.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { roles } from '@agentctl/server/platform/config.ts'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Machine, newMachine } from '../../packages/cli/src/testing/run-cli.ts'
import { playPage } from '../journeys/play-page.ts'
import { testThoroughly } from '../thorough.ts'
import { ask, blobOf, sha256, visit, visiting } from './calls.ts'
import { chatter, manifestOf } from './chatter.ts'
import { newKey, Platform, type Server } from './platform.ts'

const folder = mkdtempSync(join(tmpdir(), 'agentctl-many-'))
let platform: Platform
let machine: Machine
/** Open to the user that PostgreSQL runs as, which a folder of ours is not. */
const elsewhere = mkdtempSync(join(tmpdir(), 'agentctl-restored-'))
let restored: Postgres | undefined
const BACKUP = join(dirname(dirname(import.meta.dirname)), 'deploy/backup/base-backup.sh')
const phone = '+821055509999'

beforeAll(async () => {
  platform = await Platform.start(folder)
  const { local, wallets } = platform.cloud
  machine = await newMachine({
    AGENTCTL_API_URL: local.apiUrl,
    AGENTCTL_PRIVATE_KEY: wallets[6]?.privateKey ?? '',
  })
}, 240_000)

afterAll(async () => {
  machine?.remove()
  await platform?.stop()
  await restored?.stop()
  rmSync(elsewhere, { recursive: true, force: true, maxRetries: 5 })
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}, 60_000)

/** A page with a wallet from which no other page here pays: transactions of one wallet wait for each other. */
const play = (page: string, wallet: number): Promise<void> => {
  const { cloud } = platform
  return playPage(
    page,
    { ...cloud, wallets: cloud.wallets.map(() => cloud.wallets[wallet] as never) },
    folder,
  )
}

async function agentctl(...args: string[]): Promise<string> {
  const ran = await machine.run(args)
  expect(`${args.join(' ')}: exit ${ran.code} ${ran.code === 0 ? '' : ran.stderr}`).toBe(
    `${args.join(' ')}: exit 0 `,
  )
  return ran.stdout.trim()
}

const until = async (what: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> => {
  expect(await waitUntil(what, { withinMs, everyMs: 50 })).toBe(true)
}

/** Of the apis the one to which somebody is connected; of the others, which have nobody, the one that is there longest. */
const busiest = (of: Server[]): Server =>
  of.reduce((most, next) => (platform.open(next) > platform.open(most) ? next : most))

async function killOneOfEach(): Promise<void> {
  const victims = roles.map((role) => busiest(platform.of(role)))
  expect(platform.open(victims[0] as Server)).toBeGreaterThan(0)
  await platform.kill(...victims)
  await platform.fill(2)
}

async function codeAt(to: string): Promise<string | undefined> {
  const inbox = await fetch(`${platform.cloud.local.twilio.url}/_local/inbox?to=${encodeURIComponent(to)}`)
  return ((await inbox.json()) as { code: string }[]).at(-1)?.code
}

const pair = (role: Server['role']): [Server, Server] => platform.of(role) as [Server, Server]

test('journeys: one of each is killed in the middle of a first deploy', { timeout: 240_000 }, async () => {
  const first = play('01-first-deploy.md', 0)
  // The command waits for its release by long poll, and a worker has ordered a machine, which fetches its programs.
  await until(async () => (await platform.sql`select from machines where state = 'created'`).length > 0)
  await killOneOfEach()
  await Promise.all([first, play('02-phone-login.md', 3), play('03-ci-with-a-key.md', 2)])
})

testThoroughly(
  'journeys: the others are killed while a domain waits for its certificate',
  {
    timeout: 240_000,
  },
  async () => {
    const domain = play('11-domains.md', 4)
    await until(
      async () => (await platform.sql`select from domains where status = 'verifying'`).length > 0,
      120_000,
    )
    await killOneOfEach()
    await Promise.all([domain, play('05-secrets-and-logs.md', 1), play('09-money.md', 5)])
  },
)

/** The agent of the tests below, and a key of its owner that any server takes. */
let agent: { url: string; key: string }
let spare: { id: string; key: string }
const generationAt = async (router: Server): Promise<string> => {
  const answer = await visit(router.port, agent.url)
  const said = await text(answer)
  return answer.statusCode === 200 ? said : String(answer.statusCode)
}

test('two apis: uploads in parts, one release for one key, and waits that the other one ends', {
  timeout: 120_000,
}, async () => {
  await agentctl('login', '--wallet', '--accept-terms')
  await agentctl('billing', 'deposit', '25', '--yes')
  const scopes = ['agents:read', 'agents:write', 'keys:manage'].flatMap((scope) => ['--scope', scope])
  const { key } = JSON.parse(await agentctl('keys', 'create', 'both', '--json', ...scopes))
  spare = JSON.parse(await agentctl('keys', 'create', 'spare', '--json', '--scope', 'agents:read'))
  const [a, b] = pair('api')
  const made = await ask(a, 'POST /v1/agents', { token: key, body: { name: 'chatter' } })
  agent = { url: made.body.url, key }
  for (const router of pair('router')) expect(await generationAt(router)).toBe('503')

  expect((await ask(a, 'POST /v1/blobs', { token: key, body: blobOf(chatter) })).status).toBe(200)
  expect((await ask(b, 'POST /v1/blobs', { token: key, body: blobOf('1') })).status).toBe(200)
  const manifest = manifestOf('1')
  expect((await ask(a, 'POST /v1/deploys/plan', { token: key, body: manifest })).body.upload.missing).toEqual(
    [],
  )
  const deploy = (at: Server) =>
    ask(at, 'POST /v1/deploys', { token: key, body: manifest, headers: { 'idempotency-key': 'the-same' } })
  const atOnce = await Promise.all([deploy(a), deploy(b), deploy(a), deploy(b)])
  const releases = new Set(atOnce.flatMap(({ status, body }) => (status === 202 ? [body.release.id] : [])))
  expect(releases.size).toBe(1)
  for (const { status, body } of atOnce) if (status !== 202) expect(body.code).toBe('idempotency_in_flight')
  const again = await deploy(b)
  expect(releases).toContain(again.body.release.id)
  expect(await platform.sql`select from releases where agent_id = ${made.body.id}`).toHaveLength(1)

  await until(async () => (await generationAt(pair('router')[0])) === 'generation 1')
  expect(await generationAt(pair('router')[1])).toBe('generation 1')
  // Whichever api holds the poll of the runner, and whichever the wait of a client: an act at any of them ends both.
  for (const [acted, waiting] of [
    [a, b],
    [b, a],
  ] as const) {
    const startedAt = performance.now()
    const { body: restarted } = await ask(acted, 'POST /v1/agents/chatter/restart', { token: key })
    let release = restarted
    await until(async () => {
      const query = new URLSearchParams({ waitSeconds: '25', status: release.status })
      const answer = await ask(waiting, `GET /v1/releases/${release.id}?${query}`, { token: key })
      // Asked again, as every client does, while the database has no time for it.
      if (answer.status !== 503) release = answer.body
      return release.status !== 'pending' && release.status !== 'starting'
    })
    expect(release.status).toBe('live')
    // Without wake-ups a poll lasts 25 seconds, on either side.
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  }
})

test('two apis: what is counted, taken back or used once at one of them is so at the other', {
  timeout: 60_000,
}, async () => {
  const [a, b] = pair('api')
  const { key } = agent
  const leftAt = async (server: Server): Promise<number> => {
    const { headers } = await ask(server, 'GET /v1/whoami', { token: spare.key })
    return Number(/"credential";r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1])
  }
  const before = await leftAt(b)
  for (let asked = 0; asked < 30; asked++) await leftAt(a)
  await until(async () => (await leftAt(b)) <= before - 30, 15_000)

  // Only a worker calls the provider of machines, and any api tells what it was told.
  for (const server of [a, b]) {
    await until(async () => {
      const { body } = await ask(server, 'GET /v1/policy')
      const seoul = body.sentences.find(({ id }: { id: string }) => id === '3d')
      return seoul.status === 'pass' && /\buser_data\b/.test(seoul.evidence.fieldsTold)
    }, 20_000)
  }

  expect((await ask(b, `DELETE /v1/keys/${spare.id}`, { token: key })).status).toBeLessThan(300)
  expect((await ask(a, 'GET /v1/whoami', { token: spare.key })).status).toBe(401)

  const { vultr } = platform.cloud.local
  const [machineRow] = await platform.sql<{ providerId: string }[]>`
    select m.provider_id as "providerId" from machines m join agents a on a.id = m.agent_id
    where a.name = 'chatter' and m.state = 'ready'`
  const userData = await fetch(`${vultr.url}/v2/instances/${machineRow?.providerId}/user-data`, {
    headers: { authorization: `Bearer ${platform.cloud.serverEnvironment.VULTR_API_KEY}` },
  }).then((response) => response.json() as Promise<{ user_data: { data: string } }>)
  const script = Buffer.from(userData.user_data.data, 'base64').toString()
  const hello = {
    bootstrapToken: /^token='(.*)'$/m.exec(script)?.[1],
    protocol: 1,
    runnerSha256: /^runner_sha='(.*)'$/m.exec(script)?.[1],
  }
  for (const server of [a, b]) {
    expect((await ask(server, 'POST /v1/runner/hello', { body: hello })).body.code).toBe('unauthenticated')
  }
})

test('an api dies: what was begun there ends at another', { timeout: 120_000 }, async () => {
  const [victim, survivor] = pair('api')
  const { cloud } = platform
  const signer = privateKeyToAccount(cloud.wallets[7]?.privateKey as `0x${string}`)
  const code = await ask(victim, 'POST /v1/logins/phone', { body: { phone } })
  const toSign = await ask(victim, 'POST /v1/logins/wallet', { body: { address: signer.address } })
  platform.lead(victim)
  const follower = machine.start(['agents', 'logs', 'chatter', '-f', '--tail', '0', '--json'])
  const say = async (n: number): Promise<void> => {
    const answer = await visit(pair('router')[0].port, agent.url, `/say?n=${n}`)
    answer.resume()
  }
  // Only what is said after it is there reaches it.
  let isThere = false
  const firstLine = follower.said('"line 0"').then(() => {
    isThere = true
  })
  await until(async () => {
    await say(0)
    return isThere
  })
  await firstLine
  await say(1)
  await follower.said('"line 1"')
  // Half of an upload is on its way.
  const whole = blobOf('x'.repeat(200_000))
  const cutOff = fetch(`http://127.0.0.1:${victim.port}/v1/blobs`, {
    method: 'POST',
    headers: { authorization: `Bearer ${agent.key}`, 'content-type': 'application/vnd.agentctl.blobs' },
    body: ReadableStream.from(
      (async function* () {
        yield new Uint8Array(whole.subarray(0, 100_000))
        await new Promise(() => {})
      })(),
    ),
    duplex: 'half',
  } as RequestInit & { duplex: 'half' }).then(
    () => 'answered',
    () => 'broke off',
  )

  await platform.kill(victim)
  expect(await cutOff).toBe('broke off')
  await say(2)
  await say(3)
  await follower.said('"line 3"')
  follower.child.kill('SIGINT')
  const lines = (await follower.ended).stdout.trim().split('\n')
  const followed = lines.map((line) => JSON.parse(line).text).filter((line) => line !== 'line 0')
  expect(followed).toEqual(['line 1', 'line 2', 'line 3'])

  const byPhone = await ask(survivor, 'POST /v1/logins/phone/verify', {
    body: { challengeId: code.body.challengeId, code: await codeAt(phone), acceptTerms: true },
  })
  expect(byPhone.body).toMatchObject({ status: 'logged_in', created: true })
  const signed = {
    message: toSign.body.message,
    signature: await signer.signMessage({ message: toSign.body.message }),
  }
  const byWallet = await ask(survivor, 'POST /v1/logins/wallet/verify', {
    body: { ...signed, acceptTerms: true },
  })
  expect(byWallet.body).toMatchObject({ status: 'logged_in', created: true })
  const replayed = await ask(survivor, 'POST /v1/logins/wallet/verify', { body: signed })
  expect(replayed.body.code).toBe('login_failed')

  const plan = { ...manifestOf('x'.repeat(200_000)) }
  const missing = await ask(survivor, 'POST /v1/deploys/plan', { token: agent.key, body: plan })
  expect(missing.body.upload.missing).toEqual([sha256('x'.repeat(200_000))])
  expect((await ask(survivor, 'POST /v1/blobs', { token: agent.key, body: whole })).status).toBe(200)
})

test('a router dies: streams end, and go on through the other', { timeout: 60_000 }, async () => {
  const [victim] = pair('router')
  platform.lead(victim)
  const front = Number(platform.cloud.serverEnvironment.ROUTER_PORT)
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'eA==',
  }
  const openBoth = async () => {
    const events = await visit(front, agent.url, '/events')
    const asking = visiting(front, agent.url, '/', upgrade)
    const [, socket] = (await once(asking, 'upgrade')) as [IncomingMessage, Socket]
    await once(events, 'data')
    socket.write('hello')
    expect(String((await once(socket, 'data'))[0])).toBe('hello')
    return { events, socket }
  }
  const { events, socket } = await openBoth()
  const gone = (stream: IncomingMessage | Socket) =>
    new Promise<void>((resolve) => stream.on('error', () => {}).once('close', resolve))
  const ended = Promise.all([gone(events), gone(socket)])
  events.resume()
  await platform.kill(victim)
  await ended
  const next = await openBoth()
  next.events.destroy()
  next.socket.destroy()
  await platform.fill(2)
})

const setKeys = (file: string, keys: { id: string; key: string }[]) =>
  keepFile(file, JSON.stringify({ keys }))
const keysIn = (file: string): { id: string; key: string }[] => JSON.parse(readFileSync(file, 'utf8')).keys

async function machinesAtProvider(): Promise<string[]> {
  const { cloud } = platform
  const answer = await fetch(`${cloud.local.vultr.url}/v2/instances?per_page=500`, {
    headers: { authorization: `Bearer ${cloud.serverEnvironment.VULTR_API_KEY}` },
  })
  return ((await answer.json()) as { instances: { id: string }[] }).instances.map(({ id }) => id)
}

testThoroughly(
  'a base backup, the bucket and the key files are the whole platform',
  { timeout: 240_000 },
  async () => {
    const [before] = JSON.parse(await agentctl('agents', 'list', '--json')).agents
    const account = await agentctl('whoami', '--json')
    const owner = new URL(platform.cloud.serverEnvironment.DATABASE_URL ?? '')
    const kept = join(folder, 'cloud/postgres/postgres.json')
    const file = execFileSync(
      BACKUP,
      ['make', join(JSON.parse(readFileSync(kept, 'utf8')).place, 'data'), join(folder, 'backups')],
      {
        env: {
          PATH: process.env.PATH,
          PGHOST: owner.hostname,
          PGPORT: owner.port,
          PGUSER: owner.username,
          PGPASSWORD: owner.password,
        },
        encoding: 'utf8',
      },
    ).trim()
    // What happens after the backup is unknown to it; the chain still knows of the payment.
    const late = JSON.parse(await agentctl('billing', 'deposit', '5', '--yes', '--json'))
    expect(late.status).toBe('credited')
    const instances = await machinesAtProvider()
    await platform.kill(...platform.servers)

    chmodSync(elsewhere, 0o711)
    mkdirSync(join(elsewhere, 'postgres'))
    execFileSync(BACKUP, ['restore', file, join(elsewhere, 'postgres/data')])
    // Of an earlier place it has the password only.
    copyFileSync(kept, join(elsewhere, 'postgres/postgres.json'))
    restored = await startPostgres({ dataDir: elsewhere, log: () => {} })
    await platform.moveTo(restored.url)
    const credited = (): Promise<{ txHash: string }[]> =>
      platform.sql`select tx_hash as "txHash" from deposits where status = 'credited' order by credited_at`
    const known = await credited()
    expect(known.map(({ txHash }) => txHash)).not.toContain(late.txHash)
    await platform.fill(1)

    expect(await agentctl('whoami', '--json')).toBe(account)
    expect(await generationAt(platform.of('router')[0] as Server)).toBe('generation 1')
    await until(async () => (await credited()).length > known.length)
    expect((await credited()).map(({ txHash }) => txHash)).toEqual([
      ...known.map(({ txHash }) => txHash),
      late.txHash,
    ])
    writeFileSync(join(machine.home, 'ledger.json'), await agentctl('billing', 'history', '--json'))
    await agentctl('billing', 'verify', 'ledger.json')

    // The contents of the first release are in the bucket, and its machine takes the second.
    const api = platform.of('api')[0] as Server
    const { key: token } = agent
    const plan = await ask(api, 'POST /v1/deploys/plan', { token, body: manifestOf('2') })
    expect(plan.body.upload.missing).toEqual([sha256('2')])
    await ask(api, 'POST /v1/blobs', { token, body: blobOf('2') })
    const deployed = await ask(api, 'POST /v1/deploys', {
      token,
      body: manifestOf('2'),
      headers: { 'idempotency-key': 'after' },
    })
    expect(deployed.status).toBe(202)
    await until(async () => (await generationAt(platform.of('router')[0] as Server)) === 'generation 2')
    expect(await machinesAtProvider()).toEqual(instances)
    expect(JSON.parse(await agentctl('agents', 'show', 'chatter', '--json')).url).toBe(before.url)
  },
)

testThoroughly(
  'keys are rotated while the platform serves, and the old ones go',
  { timeout: 240_000 },
  async () => {
    const { KEYRING_FILE: keyring, PEPPER_FILE: pepper } = platform.keys
    const { key: token } = agent
    const replaceAll = async (): Promise<void> => {
      const before = [...platform.servers]
      await platform.fill(2)
      await platform.kill(...before)
    }
    const api = (): Server => platform.of('api')[0] as Server
    const set = await ask(api(), 'PATCH /v1/agents/chatter/secrets', {
      token,
      body: { secrets: { SEALED: 'canary' } },
    })
    expect(set.status).toBe(200)
    const [k1] = keysIn(keyring)
    const k2 = { id: 'k2', key: newKey() }
    if (!k1) throw new Error('There is no key.')
    // Known to all before one seals with it.
    setKeys(keyring, [k2, k1])
    setKeys(pepper, [...keysIn(pepper), { id: '2', key: newKey() }])
    await replaceAll()
    setKeys(keyring, [k1, k2])
    expect(platform.run('--reseal')).toContain('"count":')
    setKeys(keyring, [k2])
    await replaceAll()

    const { body: restarted } = await ask(api(), 'POST /v1/agents/chatter/restart', { token })
    const live = async () =>
      (await ask(api(), `GET /v1/releases/${restarted.id}`, { token })).body.status === 'live'
    await until(live)
    expect(await generationAt(platform.of('router')[0] as Server)).toBe('generation 2')

    const { body: challenge } = await ask(api(), 'POST /v1/logins/phone', { body: { phone } })
    const again = await ask(api(), 'POST /v1/logins/phone/verify', {
      body: { challengeId: challenge.challengeId, code: await codeAt(phone) },
    })
    expect(again.body).toMatchObject({ status: 'logged_in', created: false })
    const versions =
      await platform.sql`select pepper_version as version from phones where account_id = ${again.body.account.id}`
    expect(versions).toEqual([{ version: 2 }])
  },
)
