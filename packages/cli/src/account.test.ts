import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Erasure, ErasurePlan } from '@agentctl/contract/privacy.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Answers, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const plan: ErasurePlan = {
  account: { id: 'acc_1' },
  agents: [{ name: 'bot', namespace: 'demo', status: 'running', url: 'http://bot-demo.example' }],
  domains: ['bot.example.com', 'xn--bcher-kva.de'],
  machines: 1,
  snapshots: 0,
  files: { count: 2, bytes: 300 },
  secrets: 1,
  keys: 1,
  sessions: 2,
  notices: 0,
  namespaces: { deleted: ['demo'], handedOver: ['team'], left: ['club'] },
  credits: { leftMicros: '12340000', owedMicros: '0' },
  kept: { records: 7, legalBasis: 'a law', until: '2031-11-25T00:00:00.000Z' },
  blockers: [],
}
const running: Omit<Erasure, 'id'> = { status: 'running', requestedAt: plan.kept.until, receipt: null }
const receipt: Erasure['receipt'] = {
  format: 'agentctl.erasure.1',
  erasure: 'era_1',
  requestedAt: '2026-11-25T00:00:00.000Z',
  finishedAt: '2026-11-25T00:00:09.000Z',
  erased: { session: 2, 'pii.wallet': 1 },
  files: 2,
  retained: { records: 7, legalBasis: 'a law', until: plan.kept.until },
  forfeitedMicros: '12340000',
  keyId: 'l1',
  publicKey: 'AA==',
  signature: 'AA==',
}

let machine: Machine
let api: FakeApi
let answers: Answers
let looks: number

beforeEach(async () => {
  machine = await newMachine()
  looks = 0
  answers = {
    'GET /v1/account/erasure-plan': () => plan,
    'POST /v1/account/erasure': ({ body }) => ({ ...running, id: (body as { id: string }).id }),
    'POST /v1/erasures/:erasure': ({ params }) => {
      const id = params.erasure ?? ''
      return ++looks < 2 ? { ...running, id } : { ...running, id, status: 'done', receipt }
    },
    'GET /v1/billing/ledger-keys': () => ({ keys: [] }),
  }
  api = await startFakeApi(answers)
})
afterEach(async () => {
  await api.close()
  machine.remove()
})

const run = (...args: string[]) =>
  machine.run(args, { env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_s_1' } })
const sent = (route: string) => api.asked.filter((one) => one.route === route)
const config = () => JSON.parse(readFileSync(join(machine.home, 'config/config.json'), 'utf8'))

describe('agentctl account delete', () => {
  test('--plan says what goes, what is kept and why, and asks for nothing', async () => {
    const { code, stdout } = await run('account', 'delete', '--plan')
    expect(code).toBe(0)
    expect(stdout).toMatchInlineSnapshot(`
      "Deleting the account acc_1 takes away, for good:
        agents      bot in demo (running)
        domains     bot.example.com, bücher.de (xn--bcher-kva.de)
        machines    1 machine, 0 snapshots
        files       2 uploaded files, 300 bytes; 1 secret
        access      2 sessions, 1 API key, phone and wallets
        namespaces  demo
        notices     0

      The namespace team goes on under its other owner.
      You leave the namespace club.

      Credits of $12.34 are left. They are lost with the account, unless you have them
      refunded first: write to the address at the end of the policy, before you delete
      it.

      Kept: 7 billing records, apart and without your account, until 2031-11-25, then
      destroyed. Why: a law.
      Payments on a chain stay public there. Operators keep the log of their own acts
      for a year.
      "
    `)
    expect(sent('POST /v1/account/erasure')).toEqual([])
  })

  test('without --forfeit credits are not given up, and what stands in the way is said with what to do', async () => {
    const left = await run('account', 'delete', '--yes')
    expect(left).toMatchObject({ code: 1, stderr: expect.stringContaining('$12.34 of credits are left') })
    answers['GET /v1/account/erasure-plan'] = () => ({
      ...plan,
      blockers: [{ reason: 'checkout_open', message: 'A page can still be paid.', fix: 'Pay it, or wait.' }],
    })
    const blocked = await run('account', 'delete', '--yes', '--forfeit', '--json')
    expect(blocked.code).toBe(1)
    expect(JSON.parse(blocked.stdout).blockers).toHaveLength(1)
    expect(JSON.parse(blocked.stderr).error).toMatchObject({
      code: 'erasure_blocked',
      fix: 'Pay it, or wait.',
    })
    expect(sent('POST /v1/account/erasure')).toEqual([])
  })

  test('an answer that is lost is found by the receipt, whose id and token were written down before', async () => {
    let tries = 0
    answers['POST /v1/account/erasure'] = ({ body }) => {
      expect(config().erasures[api.url]).toEqual({
        id: (body as { id: string }).id,
        token: (body as { token: string }).token,
      })
      // The first try closed the account, and so ended the session of the second.
      return ++tries === 1 ? refusal('unavailable', 'gone') : refusal('unauthenticated', 'ended')
    }
    const { code, stdout } = await run('account', 'delete', '--yes', '--forfeit', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ status: 'done', receipt: { files: 2 } })
    expect(sent('POST /v1/account/erasure')[0]?.body).toMatchObject({ forfeit: true })
    expect((await run('account', 'receipt', '--json')).code).toBe(0)
  })

  test('what the service refuses is told, and nothing is waited for', async () => {
    answers['POST /v1/account/erasure'] = () => refusal('reauthentication_required', 'old')
    const { code, stderr } = await run('account', 'delete', '--yes', '--forfeit')
    expect(code).toBe(4)
    expect(stderr).toContain('Log in again, then repeat the command: agentctl login')
    expect(looks).toBe(0)
    const { stderr: told } = await run('account', 'delete', '--yes', '--forfeit', '--json')
    expect(JSON.parse(told).error.next).toEqual(['agentctl login'])
  })
})

describe('agentctl account receipt', () => {
  test('a receipt that does not carry its signature is exit 1, and what is none is said to be none', async () => {
    writeFileSync(join(machine.home, 'r.json'), JSON.stringify({ receipt }))
    writeFileSync(join(machine.home, 'none.json'), '{}')
    const lied = await run('account', 'receipt', '--verify', 'r.json')
    expect(lied).toMatchObject({ code: 1, stderr: expect.stringContaining('valid signature') })
    const none = await run('account', 'receipt', '--verify', 'none.json')
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('no receipt') })
    expect((await run('account', 'receipt')).code).toBe(2)
  })
})

describe('agentctl account export', () => {
  const whole = JSON.stringify({ format: 'agentctl.account.1', held: { wallets: [{ address: '0x1' }] } })

  test('is written for its owner alone, over nothing, and not at all when it is cut off', async () => {
    answers['GET /v1/account/export'] = () => ({ status: 200, body: whole })
    const file = join(machine.home, 'me.json')
    expect((await run('account', 'export', '--output', 'me.json')).code).toBe(0)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect((await run('account', 'export', '--output', 'me.json')).code).toBe(2)
    answers['GET /v1/account/export'] = () => ({ status: 200, body: whole.slice(0, -3) })
    expect((await run('account', 'export', '--output', 'cut.json')).code).toBe(7)
    expect(existsSync(join(machine.home, 'cut.json'))).toBe(false)
  })
})

describe('agentctl agents export', () => {
  test('a login that is too old is refused in scripts with what to type, and nothing is written', async () => {
    answers['GET /v1/agents/:agent/export'] = () => refusal('reauthentication_required', 'old')
    const { code, stderr } = await run('agents', 'export', 'bot', '--output', 'bot.json', '--json')
    expect(code).toBe(4)
    expect(JSON.parse(stderr).error.next).toEqual(['agentctl login'])
    expect(existsSync(join(machine.home, 'bot.json'))).toBe(false)
  })
})

describe('agentctl agents import', () => {
  const content = Buffer.from('console.log(1)')
  const sha256 = createHash('sha256').update(content).digest('hex')
  const exported = {
    format: 'agentctl.agent.1',
    name: 'bot',
    config: { start: 'node .' },
    files: [{ path: 'index.js', sha256, size: content.length, executable: false }],
    domains: [],
    secrets: [],
  }
  const write = (document: object) => writeFileSync(join(machine.home, 'bot.json'), JSON.stringify(document))

  test('what was changed, or is no export, is refused before anything is asked for', async () => {
    for (const document of [
      { ...exported, contents: { [sha256]: Buffer.from('evil').toString('base64') } },
      { ...exported, format: 'other' },
    ]) {
      write(document)
      expect((await run('agents', 'import', 'bot.json')).code).toBe(2)
    }
    expect(api.asked).toEqual([])
  })
})
