import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Config } from '../platform/config.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { openKeyring } from '../platform/keyring.ts'
import type { Lease } from '../platform/operations.ts'
import { isPublicAddress } from '../providers/webhooks/public-address.ts'
import { openWebhooks } from '../providers/webhooks/webhooks.ts'
import { announce, listNotices, notify } from './notices.ts'
import { visitDeliveries } from './webhook-operation.ts'
import { removeWebhook, setWebhook, showWebhook, testWebhook } from './webhooks.ts'

const { db } = await testDatabase()
const folder = mkdtempSync(join(tmpdir(), 'agentctl-webhooks-'))
let now = new Date('2027-03-01T09:00:00Z')
const deps = {
  db,
  clock: { now: () => now },
  keyring: openKeyring(join(folder, 'keyring.json')),
  config: { webhookLoopback: true } as Config,
}
const lease: Lease = { write: (run) => db.work(run), settle: async () => {} }
const received: { path: string | undefined; headers: IncomingHttpHeaders; body: string }[] = []
let status = 204
const receiver = createServer(async (request, response) => {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  received.push({ path: request.url, headers: request.headers, body: Buffer.concat(parts).toString() })
  response
    .writeHead(status, status === 302 ? { location: 'http://127.0.0.1:1/inside' } : {})
    .end('x'.repeat(99))
})
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`
const webhooks = openWebhooks({ allowLoopback: true })
const look = () => visitDeliveries(deps, webhooks, lease)
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  await db.close()
  rmSync(folder, { recursive: true, force: true })
})

async function person(): Promise<Caller> {
  const accountId = newId('acc')
  await db.as({ account: accountId }, (tx) => tx`insert into accounts values (${accountId}, ${now}, ${now})`)
  const credentialId = 'ses_1'
  return { accountId, via: 'session', credentialId, scopes: 'all', namespaceId: null, authenticatedAt: now }
}
const leave = ({ accountId }: Caller, message: string) =>
  db.work((tx) => notify(tx, { accountId, kind: 'suspended', message, next: null, now }))
const messages = () => received.splice(0).map(({ body }) => JSON.parse(body).message)

test('what is new is sent once, signed with the secret that was shown once, and nothing of before or of others', async () => {
  const [alice, mallory] = [await person(), await person()]
  await leave(alice, 'Of before.')
  now = secondsAfter(now, 1)
  const { secret, ...set } = await setWebhook(deps, alice, url)
  expect(set).toMatchObject({ url, deliveredAt: null, failingSince: null })
  expect(await showWebhook(deps, alice)).toEqual({ webhook: set })
  await leave(alice, 'hello is suspended.')
  await leave(mallory, 'Of others.')
  await look()
  await look()
  expect(received).toHaveLength(1)
  const [{ path, headers, body } = { path: '', headers: {} as IncomingHttpHeaders, body: '' }] =
    received.splice(0)
  expect([path, JSON.parse(body)]).toEqual([
    '/hook',
    {
      id: expect.stringMatching(/^ntc_/),
      kind: 'suspended',
      message: 'hello is suspended.',
      next: null,
      createdAt: now.toISOString(),
    },
  ])
  const timestamp = headers['agentctl-timestamp']
  const signed = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  expect(headers['agentctl-signature']).toBe(`v1=${signed}`)
  const [kept] = await db.jobs<{ row: string }[]>`
    select w::text || encode(ciphertext, 'escape') as row from notice_webhooks w`
  expect(kept?.row).not.toContain(secret.slice(4))
  await testWebhook(deps, alice)
  const announcement = {
    id: 'ann_1',
    message: 'To all.',
    next: null,
    announcedAt: now,
    effectiveAt: secondsAfter(now, 9),
  }
  await db.work((tx) => announce(tx, 'policy_change', announcement, now))
  await look()
  expect(messages().sort()).toEqual(['This message was asked for to try the webhook.', 'To all.'])
  await removeWebhook(deps, alice)
  await leave(alice, 'Afterwards.')
  await look()
  expect(received).toEqual([])
  expect(await showWebhook(deps, alice)).toEqual({ webhook: null })
  await expect(testWebhook(deps, alice)).rejects.toMatchObject({ code: 'conflict' })
})

test('an address that refuses is asked again, later each time, and given up after three days, which is told', async () => {
  now = secondsAfter(now, 60)
  const alice = await person()
  await setWebhook(deps, alice, url)
  await leave(alice, 'Important.')
  status = 302
  await look()
  expect(messages()).toEqual(['Important.'])
  expect((await showWebhook(deps, alice)).webhook).toMatchObject({
    failingSince: now.toISOString(),
    lastError: 'It answered with the status 302.',
  })
  now = secondsAfter(now, 29)
  await look()
  expect(received).toEqual([])
  now = secondsAfter(now, 1)
  await look()
  now = secondsAfter(now, 59)
  await look()
  expect(messages()).toHaveLength(1)
  status = 204
  now = secondsAfter(now, 1)
  await look()
  expect(messages()).toEqual(['Important.'])
  expect((await showWebhook(deps, alice)).webhook).toMatchObject({
    failingSince: null,
    deliveredAt: now.toISOString(),
  })
  status = 500
  await leave(alice, 'Lost there, kept here.')
  await look()
  now = secondsAfter(now, 3 * 86_400)
  await look()
  messages()
  expect(await showWebhook(deps, alice)).toEqual({ webhook: null })
  await expect(testWebhook(deps, alice)).rejects.toMatchObject({ code: 'conflict' })
  const kinds = (await listNotices(deps, alice.accountId, false)).map(({ kind }) => kind)
  expect(kinds.sort()).toEqual(['suspended', 'suspended', 'webhook_given_up'])
  status = 204
})

test('a name that leads inside is never connected to, whatever else it leads to', async () => {
  for (const address of ['127.0.0.1', '169.254.169.254', '10.0.0.7', '::1', 'fd00::1', '::ffff:10.0.0.1']) {
    const guarded = openWebhooks({ allowLoopback: false, resolve: async () => ['1.1.1.1', address] })
    const sent = await guarded.send(url.replace('127.0.0.1', 'hook.example'), '{}', {})
    expect(sent, address).toEqual({
      accepted: false,
      why: 'Its name does not lead to the public internet.',
    })
  }
  expect(received).toEqual([])
  // Connected to is what was checked: the name itself leads nowhere.
  const pinned = openWebhooks({ allowLoopback: true, resolve: async () => ['127.0.0.1'] })
  expect(await pinned.send(url.replace('127.0.0.1', 'no.such.invalid'), '{}', {})).toEqual({ accepted: true })
  expect(received.splice(0)).toHaveLength(1)
})

test('addresses of the public internet are told from all others', () => {
  for (const address of ['1.1.1.1', '8.8.8.8', '2606:4700:4700::1111', '172.32.0.1']) {
    expect(isPublicAddress(address), address).toBe(true)
  }
  for (const address of '0.0.0.0 100.64.1.1 172.31.9.9 192.168.0.1 198.18.0.1 224.0.0.1 255.255.255.255 fe80::1 64:ff9b::a00:1 2002:a00:1::1 2001::1 ::'.split(
    ' ',
  )) {
    expect(isPublicAddress(address), address).toBe(false)
  }
})

test('only https to the public internet is taken, and on a service of its own not this machine', async () => {
  const alice = await person()
  const strict = { ...deps, config: { webhookLoopback: false } as Config }
  for (const [bad, why] of [
    ['http://hook.example/', 'it has to begin with https://'],
    [url, 'it has to begin with https://'],
    ['https://127.0.0.1/', 'it is not on the public internet'],
    ['https://[fd00::1]/', 'it is not on the public internet'],
    ['https://0x7f.1/', 'it is not on the public internet'],
    ['https://user:word@hook.example/', 'it has a user or a password in it'],
    ['https://hook.example:25/', 'its port has to be 443'],
    ['hook.example', 'this is no address'],
  ] as const) {
    await expect(setWebhook(strict, alice, bad), bad).rejects.toMatchObject({ message: `body.url: ${why}.` })
  }
  const stale = { ...alice, authenticatedAt: secondsAfter(now, -601) }
  await expect(setWebhook(strict, stale, 'https://hook.example/')).rejects.toMatchObject({
    code: 'reauthentication_required',
  })
})
