import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ErasureReceipt, verifyReceipt } from '@agentctl/contract/erasure-receipt.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { newId } from '@agentctl/server/platform/ids.ts'
import { newToken, tokenHash } from '@agentctl/server/platform/tokens.ts'
import { tablesWith } from '@agentctl/server/privacy/test-account.ts'
import type { Journey, Operation, Subject } from './journey.ts'
import { PatientClient, Refused } from './patient-client.ts'
import type { World } from './world.ts'

const CALL_MS = 60_000
const ERASED_MS = 60_000
const CREDITS_MICROS = 5_000_000n

/** An account of which everything is planted that an account has. */
export interface Leaver {
  account: string
  namespace: string
  agent: string
  wallet: string
  token: string
  wish: { id: string; token: string }
}

const leavers = new WeakMap<Subject, Leaver>()

/** Somebody with credits, a key, an agent and its files leaves, and nobody but the books remembers. */
export function erasureOf({
  name,
  before = async () => [],
  checkMore = async () => [],
}: {
  name: string
  /** What else the account has by then. Returns whose work is done at once, instead of after a pause. */
  before?: (world: World, subject: Subject, leaver: Leaver) => Promise<string[]>
  checkMore?: Operation['check']
}): Operation {
  return {
    name,
    async run(world, subject) {
      const leaver = await plant(world, subject)
      leavers.set(subject, leaver)
      const others = await before(world, subject, leaver)
      await leave(world, leaver, others)
    },
    async check(world, subject) {
      const leaver = leavers.get(subject)
      if (!leaver) return ['nobody was planted']
      return [...(await checkErased(world, leaver)), ...(await checkMore(world, subject))]
    },
  }
}

export const accountJourney: Journey = {
  name: 'account',
  operations: [erasureOf({ name: 'erasure' })],
  abandon: async () => {},
}

export function clientOf(world: World, { token }: Pick<Leaver, 'token'>): PatientClient {
  const api = new PatientClient(world.environment.API_URL ?? '', CALL_MS)
  api.token = token
  return api
}

async function leave(world: World, leaver: Leaver, others: string[]): Promise<void> {
  const body = { ...leaver.wish, forfeit: true }
  await clientOf(world, leaver)
    .call('POST', '/v1/account/erasure', { body })
    .catch((error: unknown) => {
      // The attempt before closed the account and was killed before it could say so.
      if (!(error instanceof Refused) || error.code !== 'unauthenticated') throw error
    })
  const isDone = await waitUntil(
    async () => {
      for (const subject of [leaver.wish.id, leaver.agent, ...others]) {
        await world.hasten(subject).catch(() => {})
      }
      return (await receiptOf(world, leaver)) !== null
    },
    { withinMs: ERASED_MS, everyMs: 100 },
  )
  if (!isDone) throw new Error(`The erasure ${leaver.wish.id} did not come to its end.`)
}

async function checkErased(world: World, leaver: Leaver): Promise<string[]> {
  const receipt = await receiptOf(world, leaver)
  const { account, namespace, agent, wallet } = leaver
  const found = await Promise.all(
    [account, namespace, agent, wallet].map((mark) => tablesWith(world.sql, mark)),
  )
  const tables = new Set(found.flatMap((one) => Object.keys(one)))
  if (!receipt) return ['there is no receipt']
  const { erased, files, forfeitedMicros } = receipt
  const verdict = await verifyReceipt(receipt)
  return [
    ...[...tables].map((table) => `${table} still knows who left`),
    ...(verdict.valid ? [] : [verdict.message]),
    ...(files === 1 && erased.session === 1 && erased['api-key'] === 1 && erased['pii.wallet'] === 1
      ? []
      : [`the receipt counts ${JSON.stringify({ files, erased })}`]),
    ...(forfeitedMicros === String(CREDITS_MICROS) ? [] : [`credits lost are ${forfeitedMicros}`]),
  ]
}

async function receiptOf(world: World, { wish }: Leaver): Promise<ErasureReceipt | null> {
  const { id, token } = wish
  const erasure = await clientOf(world, { token: '' }).call<{ receipt: ErasureReceipt | null }>(
    'POST',
    `/v1/erasures/${id}`,
    {
      body: { token },
    },
  )
  return erasure.receipt
}

/** By rows alone: what leads up to them is another journey's. */
async function plant({ sql, blobFolder, now }: World, { name }: Subject): Promise<Leaver> {
  const at = now()
  const content = `content of ${name}`
  const sha256 = createHash('sha256').update(content).digest()
  const hex = sha256.toString('hex')
  const token = newToken('s').reveal()
  const leaver: Leaver = {
    account: newId('acc'),
    namespace: newId('ns'),
    agent: newId('agt'),
    wallet: `0x${hex.slice(0, 40)}`,
    token,
    wish: { id: `era_${newId('req').slice(4)}`, token: randomBytes(32).toString('hex') },
  }
  const { account, namespace, agent, wallet } = leaver
  const release = newId('rel')
  const later = new Date(at.getTime() + 86_400_000)
  const shelf = join(blobFolder, account, hex.slice(0, 2))
  mkdirSync(shelf, { recursive: true })
  writeFileSync(join(shelf, hex), content)
  await sql.begin(async (tx) => {
    await tx`insert into accounts (id, created_at, terms_accepted_at) values (${account}, ${at}, ${at})`
    await tx`
      insert into namespaces (id, name, owner_account_id, created_at) values (${namespace}, ${`ns-${name}`}, ${account}, ${at})`
    await tx`
      insert into members (namespace_id, account_id, role, created_at) values (${namespace}, ${account}, 'owner', ${at})`
    await tx`insert into wallets (address, account_id, linked_at) values (${wallet}, ${account}, ${at})`
    await tx`
      insert into sessions (id, token_hash, account_id, login_method, created_at, last_used_at, expires_at)
      values (${newId('ses')}, ${tokenHash(token)}, ${account}, 'wallet', ${at}, ${at}, ${later})`
    await tx`
      insert into api_keys (id, key_hash, prefix, account_id, name, scopes, created_at)
      values (${newId('key')}, ${sha256}, 'actl_k_ABCDEFGH', ${account}, 'ci', array['agents:read'], ${at})`
    await tx`
      insert into agents (id, namespace_id, name, label, size, status, created_at, used_at)
      values (${agent}, ${namespace}, 'agent', ${`left-${name}`}, 'nano', 'stopped', ${at}, ${at})`
    await tx`
      insert into releases (id, agent_id, namespace_id, number, status, config, file_count, created_at)
      values (${release}, ${agent}, ${namespace}, 1, 'retired', ${tx.json({})}, 1, ${at})`
    await tx`
      insert into blobs (account_id, sha256, size, created_at, used_at)
      values (${account}, ${sha256}, ${content.length}, ${at}, ${at})`
    await tx`
      insert into release_files (release_id, path, sha256, size, executable)
      values (${release}, 'index.js', ${sha256}, ${content.length}, false)`
    await tx`
      select ledger_post(${`crash:${name}`}, 'deposit', 'crash', ledger_account_of(${account}, ${newId('lac')}, ${at}),
        'sys_treasury', ${CREDITS_MICROS}, ${at})`
  })
  return leaver
}
