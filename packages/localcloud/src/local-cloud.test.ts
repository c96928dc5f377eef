import { chownSync, readFileSync } from 'node:fs'
import postgres from 'postgres'
import { expect, onTestFinished, test } from 'vitest'
import { callRpcForHex } from './json-rpc.ts'
import { startKillable } from './killable.ts'
import { type LocalCloud, startLocalCloud } from './local-cloud.ts'
import { temporaryDataDir } from './temporary-data-dir.ts'
import { canEnter, findUser } from './unprivileged-user.ts'
import { vultrCaller } from './vultr/vultr-caller.ts'
import { waitUntil } from './wait-until.ts'

const PHONE = '+821012345678'

async function start(dataDir: string, log: (line: string) => void = () => undefined): Promise<LocalCloud> {
  const cloud = await startLocalCloud({ dataDir, blockSeconds: 1, log })
  onTestFinished(() => cloud.stop())
  return cloud
}

/** Where everything is, without the functions: what a process can tell another one. */
function facts(cloud: LocalCloud): unknown {
  return JSON.parse(JSON.stringify(cloud))
}

/** Leaves a trace in every part. */
async function use(cloud: LocalCloud): Promise<{ instanceId: string }> {
  const sql = postgres(cloud.database.url, { max: 1 })
  await sql`create table notes as select 'kept' as text`
  await sql.end()
  const { accounts, rpcUrl } = cloud.chain
  const [from, to] = [accounts[0]?.address, accounts[1]?.address]
  await callRpcForHex(rpcUrl, 'eth_sendTransaction', [{ from, to, value: '0x1' }])
  const hasSent = async () =>
    (await callRpcForHex(rpcUrl, 'eth_getTransactionCount', [from, 'latest'])) === '0x1'
  expect(await waitUntil(hasSent, { withinMs: 10_000 })).toBe(true)
  const { accountSid, authToken, serviceSid, url } = cloud.twilio
  const sent = await fetch(`${url}/v2/Services/${serviceSid}/Verifications`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${accountSid}:${authToken}`)}` },
    body: new URLSearchParams({ To: PHONE, Channel: 'sms' }),
  })
  expect(sent.status).toBe(201)
  const { create, printed } = vultrCaller(cloud.vultr)
  const instanceId = await create('#!/bin/bash\necho up.\n')
  await printed(instanceId, 'up.')
  return { instanceId }
}

async function expectTraces(cloud: LocalCloud, { instanceId }: { instanceId: string }): Promise<void> {
  const sql = postgres(cloud.database.url, { max: 1 })
  expect([...(await sql`select text from notes`)]).toEqual([{ text: 'kept' }])
  await sql.end()
  const { accounts, rpcUrl } = cloud.chain
  expect(await callRpcForHex(rpcUrl, 'eth_getTransactionCount', [accounts[0]?.address, 'latest'])).toBe('0x1')
  const inbox = await fetch(`${cloud.twilio.url}/_local/inbox?to=${encodeURIComponent(PHONE)}`)
  expect(await inbox.json()).toHaveLength(1)
  expect(await vultrCaller(cloud.vultr).getInstance(instanceId)).toMatchObject({
    status: 'active',
    power_status: 'running',
  })
}

test('everything that happened, and every address and credential, is there after a stop and a start', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  const traces = await use(first)
  await first.stop()

  const second = await start(dataDir)
  expect(facts(second)).toEqual(facts(first))
  await expectTraces(second, traces)
})

test('the same is there after kill -9', async () => {
  const dataDir = temporaryDataDir()
  const killed = await startKillable<LocalCloud>('cloud', dataDir)
  const traces = await use(killed.part)
  // The chain is kept a moment after each block that holds something.
  const isKept = () =>
    JSON.parse(readFileSync(`${dataDir}/chain/state.json`, 'utf8')).transactions.length >= 2
  expect(await waitUntil(isKept, { withinMs: 10_000 })).toBe(true)
  await killed.kill()

  const cloud = await start(dataDir)
  expect(facts(cloud)).toEqual(killed.part)
  await expectTraces(cloud, traces)
})

test('a second start on the same directory is refused, and the first goes on', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await expect(start(dataDir)).rejects.toThrow(`is in use by process ${process.pid}`)
  expect(await callRpcForHex(first.chain.rpcUrl, 'eth_chainId')).toBe('0x7a69')
  expect((await fetch(`${first.vultr.url}/v2/regions`)).status).toBe(200)
})

test('all of it runs as a normal user', async ({ skip }) => {
  const nobody = findUser(['nobody'])
  const isPossible = process.getuid?.() === 0 && nobody && canEnter(nobody, import.meta.dirname)
  if (!isPossible) return skip('only root can become another user, who must be able to enter the checkout')
  const dataDir = temporaryDataDir()
  chownSync(dataDir, nobody.uid, nobody.gid)
  const first = await startKillable<LocalCloud>('cloud', dataDir, { user: nobody })
  const traces = await use(first.part)
  await expectTraces(first.part, traces)
  await first.end()
})
