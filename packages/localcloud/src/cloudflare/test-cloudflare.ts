import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import CloudflareClient from 'cloudflare'
import { onTestFinished } from 'vitest'
import { collectViolations } from '../spec-check.ts'
import { temporaryDataDir } from '../temporary-data-dir.ts'
import { waitUntil } from '../wait-until.ts'
import { startCloudflare } from './cloudflare.ts'
import { cloudflareSpecCheck } from './cloudflare-spec.ts'

/** Holds every exchange of a test with the API against Cloudflare's document. */
export const checked = collectViolations(cloudflareSpecCheck())

const DAY_SECONDS = 86_400
/** A connection kept for later may belong to a stand-in that was stopped and started since. */
const UNKEPT = { connection: 'close' }

/** A stand-in for one test, with Cloudflare's own client and the controls at hand. */
export async function startForTest(dataDir = temporaryDataDir()) {
  const standIn = await startCloudflare({
    dataDir,
    log: () => undefined,
    onExchange: (exchange) => checked.onExchange(exchange),
  })
  onTestFinished(() => standIn.stop())
  const clientWith = (apiToken: string) =>
    new CloudflareClient({
      apiToken,
      baseURL: `${standIn.url}/client/v4`,
      maxRetries: 0,
      logLevel: 'off',
      defaultHeaders: UNKEPT,
    })
  const client = clientWith(standIn.apiToken)
  const { zoneId: zone_id, zoneName } = standIn
  const control = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`${standIn.url}/_local${path}`, {
      method,
      headers: UNKEPT,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  const find = (id: string) => client.customHostnames.get(id, { zone_id })
  return {
    standIn,
    client,
    clientWith,
    zone_id,
    control,
    find,
    later: (seconds: number) => writeFileSync(join(dataDir, 'clock'), String(seconds * 1000)),
    laterDays: (days: number) => writeFileSync(join(dataDir, 'clock'), String(days * DAY_SECONDS * 1000)),
    record: (name: string, type: string, ...values: string[]) =>
      control('PUT', '/dns', { name, type, values }),
    pointHere: (name: string) =>
      control('PUT', '/dns', { name, type: 'CNAME', values: [`domains.${zoneName}`] }),
    order: (hostname: string, method: 'http' | 'txt' = 'http') =>
      client.customHostnames.create({ zone_id, hostname, ssl: { method, type: 'dv' } }),
    /** What the operator and the server make once. */
    async makeReady() {
      const origin = standIn.fallbackOrigin
      const name = `*.${zoneName}`
      await client.dns.records.create({
        zone_id,
        type: 'CNAME',
        name,
        content: origin,
        proxied: true,
        ttl: 1,
      })
      await client.customHostnames.fallbackOrigin.update({ zone_id, origin })
    },
    async comesTo(id: string, status: string, sslStatus: string) {
      const look = async () => {
        const { status: now, ssl } = await find(id)
        return now === status && ssl?.status === sslStatus
      }
      if (await waitUntil(look, { withinMs: 10_000, everyMs: 50 })) return find(id)
      throw new Error(`It came to ${JSON.stringify(await find(id))}.`)
    },
  }
}
