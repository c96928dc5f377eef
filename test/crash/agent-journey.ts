import { createHash } from 'node:crypto'
import { request } from 'node:http'
import type { Size } from '@agentctl/contract/agent-config.ts'
import { BLOB_HEADER_BYTES, BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import { Refused } from './patient-client.ts'
import type { World } from './world.ts'

const LIVE_MS = 120_000
const ANSWER_MS = 30_000
const SECRET = 'kept-by-the-agent'

export interface Release {
  id: string
  number: number
  status: string
  step: string | null
  failure: unknown
}

export const firstDeploy: Operation = {
  name: 'deploy',
  async run(world, subject) {
    const agent = await createAgent(world, subject)
    subject.agentId = agent.id
    subject.url = agent.url
    await world.api.call('PATCH', `/v1/agents/${agent.id}/secrets`, {
      body: { secrets: { WORD: SECRET } },
    })
    await deploy(world, subject, 'first')
    subject.born = await untilAnswer(world, subject, (answer) => /^[0-9a-f-]{36}$/.test(answer), BORN)
  },
  check: (world, subject) => checkReleases(world, subject, 1),
}

export const deletion: Operation = { name: 'delete', run: deleteAgent, check: checkDeleted }

/** A first deploy with a secret, a second one with another file, a deletion: each made to survive. */
export const agentJourney: Journey = {
  name: 'agent',
  operations: [
    firstDeploy,
    {
      name: 'redeploy',
      optional: true,
      run: (world, subject) => deploy(world, subject, 'second'),
      check: (world, subject) => checkReleases(world, subject, 2),
    },
    deletion,
  ],
  abandon: deleteAgent,
}

export async function createAgent(world: World, subject: Subject): Promise<{ id: string; url: string }> {
  try {
    return await world.api.call('POST', '/v1/agents', { body: { name: subject.name } })
  } catch (error) {
    // The attempt before may have made it and been killed before it could say so.
    if (error instanceof Refused && error.status === 409)
      return world.api.call('GET', `/v1/agents/${subject.name}`)
    throw error
  }
}

export async function deploy(
  world: World,
  subject: Subject,
  word: string,
  { size = 'nano', maxTotalMicros }: { size?: Size; maxTotalMicros?: bigint } = {},
): Promise<void> {
  const files = new Map([
    ['index.js', AGENT],
    ['word.txt', `${subject.name} ${word}`],
  ])
  const body = {
    name: subject.name,
    config: {
      size,
      install: null,
      start: 'node index.js',
      port: null,
      health: { path: '/health', timeoutSeconds: 30 },
      env: {},
      domains: [],
    },
    files: [...files].map(([path, text]) => ({
      path,
      sha256: sha256(text),
      size: Buffer.byteLength(text),
      executable: false,
    })),
    ...(maxTotalMicros === undefined ? {} : { maxTotalMicros: String(maxTotalMicros) }),
  }
  const begin = async (): Promise<{ release: Release }> => {
    const plan = await world.api.call<{ upload: { missing: string[] } }>('POST', '/v1/deploys/plan', { body })
    const missing = [...files.values()].filter((text) => plan.upload.missing.includes(sha256(text)))
    if (missing.length > 0) {
      await world.api.call('POST', '/v1/blobs', {
        raw: { mediaType: BLOB_STREAM_MEDIA_TYPE, bytes: blobStream(missing) },
      })
    }
    return world.api.call('POST', '/v1/deploys', { body, idempotent: true })
  }
  const begun = await begin().catch((error: unknown) => {
    // As the CLI does: what was there at the plan may have gone with the last agent that had it.
    if (error instanceof Refused && error.code === 'blobs_missing') return begin()
    throw error
  })
  await waitUntilLive(world, subject, begun.release)
  await expectAnswer(world, subject, `${subject.name} ${word} ${SECRET}`)
}

export async function waitUntilLive(world: World, subject: Subject, begun: Release): Promise<void> {
  const deadline = Date.now() + LIVE_MS
  let release = begun
  while (release.status !== 'live') {
    if (release.status !== 'pending' && release.status !== 'starting') {
      throw new Error(`Release ${release.number} is ${release.status}: ${JSON.stringify(release.failure)}`)
    }
    if (Date.now() > deadline) {
      throw new Error(`Release ${release.number} is not live in time, but ${release.status}: ${release.step}`)
    }
    await world.hasten(subject.agentId).catch(() => {})
    const since = new URLSearchParams({ waitSeconds: '1', status: release.status, step: release.step ?? '' })
    release = await world.api.call<Release>('GET', `/v1/releases/${release.id}?${since}`)
  }
}

export async function expectAnswer(
  world: World,
  subject: Subject,
  expected: string,
  path = '/',
): Promise<void> {
  await untilAnswer(world, subject, (answer) => answer === expected, path)
}

/** Asks the router for the agent's address until the right answer comes. */
async function untilAnswer(
  world: World,
  subject: Subject,
  isRight: (answer: string) => boolean,
  path: string,
): Promise<string> {
  let last = ''
  const host = new URL(subject.url).host
  const isAnswered = await waitUntil(
    async () => {
      last = await ask(world.routerPort, host, path).catch((error: unknown) => String(error))
      return isRight(last)
    },
    { withinMs: ANSWER_MS, everyMs: 20 },
  )
  if (isAnswered) return last
  throw new Error(`The address of the agent answers “${last.slice(0, 200)}” to ${path} of ${subject.name}.`)
}

/** By hand, for names under .localhost are not resolved everywhere. */
function ask(port: number, host: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers: { host }, timeout: 2000 }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve(text))
      response.on('error', reject)
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.on('error', reject)
    asked.end()
  })
}

export async function deleteAgent(world: World, subject: Subject): Promise<void> {
  try {
    await world.api.call('DELETE', `/v1/agents/${subject.agentId || subject.name}`)
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error
  }
}

async function checkReleases({ sql }: World, { agentId }: Subject, count: number): Promise<string[]> {
  const releases = await sql<{ number: number; status: string }[]>`
    select number, status from releases where agent_id = ${agentId} order by number`
  const expected = Array.from(
    { length: count },
    (_, index) => `${index + 1} ${index + 1 === count ? 'live' : 'retired'}`,
  )
  const found = releases.map(({ number, status }) => `${number} ${status}`)
  const secrets = await sql<{ name: string; version: number }[]>`
    select name, version from secrets where agent_id = ${agentId}`
  return [
    ...(found.join() === expected.join() ? [] : [`releases are ${found.join()}, not ${expected.join()}`]),
    ...(secrets.length === 1 ? [] : [`there are ${secrets.length} secrets instead of 1`]),
  ]
}

async function checkDeleted(world: World, { agentId }: Subject): Promise<string[]> {
  const { sql } = world
  const [left] = await sql<{ agents: number; machines: number; secrets: number }[]>`
    select
      (select count(*)::int from agents where id = ${agentId} and status <> 'deleted') as agents,
      (select count(*)::int from machines where agent_id = ${agentId} and state <> 'deleted') as machines,
      (select count(*)::int from secrets where agent_id = ${agentId}) as secrets`
  const instances = (await world.listInstances()).filter((one) => one.tags.includes(`agent:${agentId}`))
  return [
    ...Object.entries(left ?? {}).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what} left`])),
    ...(instances.length === 0 ? [] : [`${instances.length} instances left at the provider`]),
  ]
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

function blobStream(texts: string[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    Buffer.concat(
      texts.flatMap((text) => {
        const bytes = Buffer.from(text)
        const header = Buffer.alloc(BLOB_HEADER_BYTES)
        header.write(sha256(text), 'hex')
        header.writeBigUInt64BE(BigInt(bytes.length), 32)
        return [header, bytes]
      }),
    ),
  )
}

/** Answers with what it wrote into its home when it ran there for the first time. */
export const BORN = '/born'

const AGENT = `const { existsSync, readFileSync, writeFileSync } = require('node:fs')
const word = readFileSync('word.txt', 'utf8')
const born = process.env.HOME + '/born'
if (!existsSync(born)) writeFileSync(born, crypto.randomUUID())
require('node:http')
  .createServer(({ url }, response) =>
    response.end(url === '${BORN}' ? readFileSync(born) : word + ' ' + process.env.WORD))
  .listen(process.env.PORT, () => process.stdout.write('listening\\n'))
`
