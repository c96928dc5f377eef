import type { PolicyReport } from '@agentctl/contract/policy.ts'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Answers, type FakeApi, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const checkedAt = '2026-11-25T09:00:00Z'
const kept = {
  id: '1',
  text: 'We keep only what running the service takes, and each thing for a purpose named below.',
  status: 'pass' as const,
  checkedAt,
  evidence: { columns: 120, unclassified: '', oldestRow: null },
}
const logs = {
  id: '6e',
  text: 'API logs are kept for at most 90 days.',
  status: 'fail' as const,
  checkedAt,
  evidence: { days: 95, oldestDay: '2026-08-22T00:00:00Z' },
}
const contact = { id: '11', text: 'Write to us.', status: 'notice' as const, checkedAt, evidence: {} }

let machine: Machine
let api: FakeApi
let report: PolicyReport
beforeAll(async () => {
  machine = await newMachine()
})
afterAll(() => machine.remove())
beforeEach(async () => {
  report = {
    policy: { lastUpdated: '2026-11-25', hash: 'ab' },
    sentences: [kept, logs, contact],
    announced: null,
  }
  const answers: Answers = { 'GET /v1/policy': () => report }
  api = await startFakeApi(answers)
})
afterEach(() => api.close())

const run = (...args: string[]) =>
  machine.run(['policy', ...args], { env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: 'actl_k_1' } })

const announced = {
  announcedOn: '2026-11-26',
  lastUpdated: '2026-12-24',
  hash: 'cd',
  sentences: [
    { id: '1', text: kept.text },
    { id: '6e', text: 'API logs are kept for at most 60 days.' },
    { id: '6q', text: 'One thing more.' },
  ],
}

test('the policy is shown sentence by sentence, to anybody: no credential is sent', async () => {
  const shown = await run('show')
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  expect(shown.stdout).toMatchInlineSnapshot(`
    "Privacy policy, last updated 2026-11-25

    1   We keep only what running the service takes, and each thing for a purpose
        named below.
    6e  API logs are kept for at most 90 days.
    11  Write to us.
    "
  `)
  expect(api.asked[0]?.headers.authorization).toBeUndefined()
  expect(JSON.parse((await run('show', '--json')).stdout)).toEqual({
    policy: report.policy,
    sentences: [kept, logs, contact].map(({ id, text }) => ({ id, text })),
  })
})

test('verifying shows what was measured and exits 1 with the ids that fail; 0 when none does', async () => {
  const failing = await run('verify')
  expect(failing.code).toBe(1)
  expect(failing.stdout).toMatchInlineSnapshot(`
    "pass   1   We keep only what running the service takes, and each thing for a
               purpose named below.
               columns: 120
    fail   6e  API logs are kept for at most 90 days.
               days: 95 · oldest day: 2026-08-22T00:00:00Z
    notice 11  Write to us.

    Policy of 2026-11-25: 1 pass, 1 fail, 1 notices.
    "
  `)
  expect(failing.stderr).toMatchInlineSnapshot(`
    "error: The policy does not hold: 6e
    Tell the people who run this service; the address is in the last sentence of agentctl policy show.
    "
  `)
  const only = await run('verify', '--failing', '--json')
  expect(JSON.parse(only.stdout)).toEqual({ policy: report.policy, sentences: [logs] })
  expect(JSON.parse(only.stderr).error.code).toBe('policy_fails')
  report = { ...report, sentences: [kept, contact] }
  expect(await run('verify', '--failing')).toMatchObject({
    code: 0,
    stdout: 'Policy of 2026-11-25: 1 pass, 0 fail, 1 notices.\n',
    stderr: '',
  })
})

test('a text that is announced is shown with what is new, changed and gone in it', async () => {
  report = { ...report, announced }
  expect((await run('show')).stderr).toBe('It changes on 2026-12-24: agentctl policy show --next\n')
  expect((await run('show', '--next')).stdout).toMatchInlineSnapshot(`
    "Privacy policy from 2026-12-24 on, announced on 2026-11-26

            1   We keep only what running the service takes, and each thing for a
                purpose named below.
    changed 6e  API logs are kept for at most 60 days.
    new     6q  One thing more.

    Gone: 11
    new and changed are against the text that holds: agentctl policy show
    "
  `)
  expect(JSON.parse((await run('show', '--next', '--json')).stdout)).toEqual({
    policy: { lastUpdated: '2026-12-24', hash: 'cd', announcedOn: '2026-11-26' },
    sentences: announced.sentences,
    changes: { added: ['6q'], changed: ['6e'], gone: ['11'] },
  })
})

test('without an announced change there is no next text', async () => {
  const { code, stdout, stderr } = await run('show', '--next')
  expect([code, stdout]).toEqual([6, ''])
  expect(stderr).toContain('No change of the policy is announced')
})
