import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bundlePath } from './testing/bundle.ts'
import { type Answers, type FakeApi, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

/** Gives a program a terminal; part of util-linux, absent on some machines. */
const hasScript = spawnSync('script', ['--version']).status === 0
if (!hasScript) process.stdout.write('No program `script` here: prompts are not tried on a terminal.\n')

interface Session {
  child: ChildProcess
  screen(): string
  shows(text: string): Promise<void>
  ended: Promise<{ code: number | null; screen: string }>
}

let machine: Machine
let api: FakeApi
let answers: Answers
let children: ChildProcess[] = []
beforeEach(async () => {
  machine = await newMachine()
  answers = {}
  api = await startFakeApi(answers)
})
afterEach(async () => {
  // A terminal that goes away takes its program along, also one that hangs.
  for (const child of children) child.kill('SIGKILL')
  children = []
  await api.close()
  machine.remove()
})

function onTerminal(args: string[], env: Record<string, string> = {}, columns = 80): Session {
  const quoted = [process.execPath, bundlePath, ...args].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qec', `stty cols ${columns} rows 24; exec ${quoted}`, '/dev/null'], {
    cwd: machine.home,
    env: {
      PATH: process.env.PATH,
      HOME: machine.home,
      TERM: 'xterm',
      AGENTCTL_API_URL: api.url,
      AGENTCTL_CONFIG_DIR: join(machine.home, 'config'),
      NO_COLOR: '1',
      ...env,
    },
    stdio: 'pipe',
  })
  children.push(child)
  let screen = ''
  const listeners = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    screen += part
    for (const listener of listeners) listener()
  })
  const ended = new Promise<{ code: number | null; screen: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, screen })),
  )
  return {
    child,
    screen: () => screen,
    ended,
    shows: (text) =>
      new Promise((resolve, reject) => {
        const look = () => screen.includes(text) && resolve()
        listeners.add(look)
        look()
        void ended.then(() => reject(new Error(`it ended without showing '${text}':\n${screen}`)))
      }),
  }
}

describe.skipIf(!hasScript)('on a terminal', () => {
  test('login asks how, and Ctrl-C at the question is exit 130', async () => {
    const session = onTerminal(['login'])
    await session.shows('Wallet: a signature')
    session.child.stdin?.write('\u0003')
    expect(await session.ended).toMatchObject({ code: 130, screen: expect.stringContaining('Interrupted') })
  })

  test('login with a phone asks number, code and the terms, once', async () => {
    const soon = new Date(Date.now() + 300_000).toISOString()
    answers['POST /v1/logins/phone'] = () => ({ challengeId: 'chl_1', expiresAt: soon, resendAt: soon })
    answers['POST /v1/logins/phone/verify'] = () => ({
      status: 'terms_required',
      signupToken: 'sup_1',
      terms: { text: 'I agree and am 18 or older.', url: 'https://agentctl.dev/terms' },
    })
    answers['POST /v1/logins/accept-terms'] = () => ({
      status: 'logged_in',
      token: 'actl_s_1',
      expiresAt: soon,
      account: { id: 'acc_1' },
      created: true,
    })
    const session = onTerminal(['login'])
    await session.shows('Phone: a code')
    session.child.stdin?.write('\r')
    await session.shows('Phone number')
    session.child.stdin?.write('+821012345678\r')
    await session.shows('Code:')
    session.child.stdin?.write('123456\r')
    await session.shows('18 or older?')
    session.child.stdin?.write('y\r')
    const { code, screen } = await session.ended
    expect(code).toBe(0)
    expect(screen).toContain('Welcome. Your account is acc_1.')
    expect(api.asked.map(({ route, body }) => [route, body])).toMatchObject([
      ['POST /v1/logins/phone', { phone: '+821012345678' }],
      ['POST /v1/logins/phone/verify', { challengeId: 'chl_1', code: '123456' }],
      ['POST /v1/logins/accept-terms', { signupToken: 'sup_1' }],
    ])
  })

  test('a hidden value is never on the screen', async () => {
    answers['PATCH /v1/agents/:agent/secrets'] = () => ({ set: ['TOKEN'], unset: [] })
    const session = onTerminal(['secrets', 'set', 'bot', 'TOKEN'], { AGENTCTL_API_KEY: 'actl_k_1' })
    await session.shows('Value of TOKEN')
    session.child.stdin?.write('hush-hush\r')
    const { code, screen } = await session.ended
    expect(code).toBe(0)
    expect(screen).not.toContain('hush')
    expect(api.asked.at(-1)?.body).toEqual({ secrets: { TOKEN: 'hush-hush' } })
  })

  test('a first deploy shows its plan and asks; no means that nothing happened', async () => {
    mkdirSync(join(machine.home, 'bot'))
    writeFileSync(join(machine.home, 'bot', 'main.py'), 'print()')
    answers['POST /v1/deploys/plan'] = () => ({
      agent: { name: 'bot', namespace: 'demo', url: null, exists: false },
      changes: ['make a machine'],
      domains: { attach: [], refused: [], keep: [] },
      upload: { files: 1, missing: [], missingBytes: 0 },
      price: { hourlyMicros: '20000' },
      balance: { creditsMicros: '0', runwaySeconds: null },
      timeline: [],
    })
    const session = onTerminal(['deploy', 'bot'], { AGENTCTL_API_KEY: 'actl_k_1' })
    await session.shows('Deploy?')
    expect(session.screen()).toContain('Price: $0.02 an hour')
    session.child.stdin?.write('n\r')
    expect(await session.ended).toMatchObject({
      code: 130,
      screen: expect.stringContaining('Nothing was deployed'),
    })
    expect(api.asked.map(({ route }) => route)).toEqual(['POST /v1/deploys/plan'])
  })

  test('what takes longer shows a spinner, which leaves nothing behind', async () => {
    let seen: () => void = () => {}
    const spinning = new Promise<void>((resolve) => {
      seen = resolve
    })
    answers['GET /v1/health'] = async () => {
      await spinning
      return { status: 'ok', version: '0.1.0', time: new Date().toISOString() }
    }
    const session = onTerminal(['doctor'])
    await session.shows('Looking')
    seen()
    const { code, screen } = await session.ended
    expect(code).toBe(0)
    expect(screen).toContain('not logged in')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the cursor comes back by an escape sequence.
    expect(screen).toMatch(/\u001b\[\?25h/)
  })

  test('a terminal without a width gets lines instead', async () => {
    answers['GET /v1/health'] = () => new Promise(() => {})
    const session = onTerminal(['doctor'], {}, 0)
    await session.shows('Looking…')
    session.child.stdin?.write('\u0003')
    expect(await session.ended).toMatchObject({ code: 130 })
  })

  test('what operators are shown is no wider than the terminal; a pipe gets one line a row', async () => {
    const at = '2026-11-20T10:00:00.000Z'
    const lately = new Date(Date.now() - 3 * 86_400_000).toISOString()
    const account = 'acc_4k2x9wq7m1z8c5v3b6n0'
    const reason = 'Port scans from three of its machines, as the provider of machines tells us.'
    const hash = 'a'.repeat(64)
    answers['GET /v1/operator/operations'] = () => ({
      operations: [
        {
          id: 'op_4k2x9wq7m1z8c5v3b6n0',
          kind: 'remove-machine',
          subject: 'mch_4k2x9wq7m1z8c5v3b6n0',
          step: 'deleting',
          attempts: 41,
          createdAt: lately,
          lastError: 'Problem provider_unavailable at visitRemoval machine-removal.ts:41',
        },
      ],
    })
    answers['GET /v1/operator/acts'] = () => ({
      acts: [
        { id: 'act_1', at, operator: 'alice', act: 'setStanding', outcome: '200', subject: account, reason },
        {
          id: 'act_2',
          at,
          operator: 'bob',
          act: 'listOperations',
          outcome: '200',
          subject: '',
          reason: null,
        },
      ],
    })
    answers['GET /v1/operator/card-payments'] = () => ({
      payments: [
        {
          id: 'pi_3QabcdEFGHijklMN0opqRSTU',
          checkout: 'chk_4k2x9wq7m1z8c5v3b6n0',
          account,
          state: 'mismatched',
          askedMicros: '26000000',
          received: { amount: '2500', currency: 'usd' },
          refund: { state: 'refused', amountMicros: null },
          paidAt: at,
        },
      ],
    })
    const payment = {
      id: `8453:0x${hash}:0`,
      chain: 'base',
      txHash: `0x${hash}`,
      sender: '0x52908400098527886e0f7030069857d2e4169ee7',
      amountMicros: '12000000',
      state: 'unclaimed' as const,
      account: null,
      returnedBy: null,
      seenAt: lately,
    }
    answers['GET /v1/operator/payments'] = () => ({ payments: [payment] })
    answers['GET /v1/operator/requests'] = () => ({
      requests: [
        {
          at,
          requestId: 'req_4k2x9wq7m1z8c5v3b6n0',
          route: 'POST /v1/agents/:agent/contents',
          status: 200,
          durationMs: 12,
          credentialId: 'key_4k2x9wq7m1z8c5v3b6n0',
        },
      ],
    })
    answers['GET /v1/operator/rights-requests'] = () => ({
      requests: [
        {
          id: 'rrq_4k2x9wq7m1z8c5v3b6n0',
          kind: 'correct',
          cameBy: 'phone',
          account,
          receivedAt: at,
          dueAt: at,
          isOverdue: true,
          answeredAt: null,
          outcome: null,
        },
      ],
      overdue: 0,
    })
    answers['GET /v1/operator/warm-machines'] = () => ({
      sizes: [
        {
          size: 'medium',
          wanted: 20,
          warm: 0,
          making: 0,
          leaving: 0,
          monthlyMicros: '0',
          held: { reason: 'sold_out', until: at },
        },
      ],
      spentMicros: '0',
      budgetMicros: null,
    })
    answers['POST /v1/operator/accounts/find'] = () => ({
      id: account,
      createdAt: lately,
      creditsMicros: '12000000',
      loginMethods: ['phone', 'wallet'],
      standing: {
        state: 'suspended',
        reason,
        since: at,
        machinesMax: 2,
        hourlyMaxMicros: '100000',
        monthlyMaxMicros: null,
      },
    })
    const env = { AGENTCTL_OPERATOR_TOKEN: `actl_o_${'A'.repeat(36)}` }
    const shown: string[] = []
    for (const args of [
      ['operations'],
      ['log'],
      ['cards'],
      ['payments'],
      ['requests', account],
      ['rights'],
      ['warm'],
      ['find', account],
    ]) {
      const { code, screen } = await onTerminal(['operator', ...args], env).ended
      expect(code, screen).toBe(0)
      const lines = screen.replaceAll('\r', '').trimEnd().split('\n')
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80)
      shown.push(`$ agentctl operator ${args.join(' ')}`, ...lines)
      const piped = await machine.run(['operator', ...args], { env: { ...env, AGENTCTL_API_URL: api.url } })
      if (args[0] === 'payments') expect(piped.stdout.trim().split('\n')).toHaveLength(2)
    }
    expect(shown.join('\n')).toMatchInlineSnapshot(`
      "$ agentctl operator operations
      KIND            STEP      ATTEMPTS  BEGUN       OPERATION
      remove-machine  deleting  41        3 days ago  op_4k2x9wq7m1z8c5v3b6n0
        subject     mch_4k2x9wq7m1z8c5v3b6n0
        last error  Problem provider_unavailable at visitRemoval machine-removal.ts:41
      $ agentctl operator log
      AT                        OPERATOR  ACT             OUTCOME
      2026-11-20T10:00:00.000Z  alice     setStanding     200
        about  acc_4k2x9wq7m1z8c5v3b6n0
        why    Port scans from three of its machines, as the provider of machines
               tells us.
      2026-11-20T10:00:00.000Z  bob       listOperations  200
      $ agentctl operator cards
      STATE       ASKED   CAME      REFUND        ACCOUNT
      mismatched  $26.00  2500 usd  refused, all  acc_4k2x9wq7m1z8c5v3b6n0
        payment  pi_3QabcdEFGHijklMN0opqRSTU
      $ agentctl operator payments
      STATE      AMOUNT  SEEN        SENDER
      unclaimed  $12.00  3 days ago  0x52908400098527886e0f7030069857d2e4169ee7
        payment
          8453:0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:0
      $ agentctl operator requests acc_4k2x9wq7m1z8c5v3b6n0
      AT                        REQUEST                   STATUS  MS
      2026-11-20T10:00:00.000Z  req_4k2x9wq7m1z8c5v3b6n0  200     12
        endpoint  POST /v1/agents/:agent/contents
        by        key_4k2x9wq7m1z8c5v3b6n0
      $ agentctl operator rights
      REQUEST                   KIND     CAME BY  RECEIVED    STATE
      rrq_4k2x9wq7m1z8c5v3b6n0  correct  phone    2026-11-20  OVERDUE since 2026-11-20
        account  acc_4k2x9wq7m1z8c5v3b6n0
      $ agentctl operator warm
      SIZE    WANTED  WARM  MAKING  LEAVING  A MONTH
      medium  20      0     0       0        $0.00
        held  sold out until 2026-11-20T10:00:00.000Z

      This month: $0.00 without a limit.
      $ agentctl operator find acc_4k2x9wq7m1z8c5v3b6n0
      account     acc_4k2x9wq7m1z8c5v3b6n0
      made        3 days ago
      credits     $12.00
      logs in by  phone, wallet
      standing    suspended: Port scans from three of its machines, as the provider of
                  machines tells us.
      may have    2 machines, $0.10 an hour"
    `)
  })

  test('so is what others are shown', async () => {
    const at = new Date(Date.now() - 3 * 86_400_000).toISOString()
    const [name, namespace] = ['an-agent-of-some-length', 'a-namespace-of-its-own']
    answers['GET /v1/agents'] = () => ({
      agents: [
        {
          id: 'agt_1',
          name,
          namespace,
          url: `https://${name}-${namespace}.agents.example.net`,
          status: 'running',
          step: null,
          size: 'small',
          region: 'icn',
          release: { id: 'rel_1', number: 12 },
          domains: [],
          transfer: null,
          suspendsAt: null,
          snapshotDeletedAt: null,
        },
      ],
    })
    answers['GET /v1/keys'] = () => ({
      keys: [
        {
          id: 'key_4k2x9wq7m1z8c5v3b6n0',
          name: 'continuous integration',
          prefix: 'actl_k_Ab12Cd',
          scopes: ['agents:read', 'agents:write', 'domains:write'],
          namespace,
          createdAt: at,
          expiresAt: null,
          lastUsedAt: at,
          revokedAt: null,
        },
      ],
    })
    const shown: string[] = []
    for (const args of [
      ['agents', 'list'],
      ['keys', 'list'],
    ]) {
      const { code, screen } = await onTerminal(args, { AGENTCTL_API_KEY: 'actl_k_1' }).ended
      expect(code, screen).toBe(0)
      const lines = screen.replaceAll('\r', '').trimEnd().split('\n')
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80)
      shown.push(`$ agentctl ${args.join(' ')}`, ...lines)
    }
    expect(shown.join('\n')).toMatchInlineSnapshot(`
      "$ agentctl agents list
      NAME                     NAMESPACE               STATUS   RELEASE  SIZE
      an-agent-of-some-length  a-namespace-of-its-own  running  12       small
        url  https://an-agent-of-some-length-a-namespace-of-its-own.agents.example.net
      $ agentctl keys list
      ID                        KEY             EXPIRES  LAST USED
      key_4k2x9wq7m1z8c5v3b6n0  actl_k_Ab12Cd…  never    3 days ago
        name       continuous integration
        scopes     agents:read,agents:write,domains:write
        namespace  a-namespace-of-its-own"
    `)
  })

  test('CI is never asked, even on a terminal', async () => {
    const { code, screen } = await onTerminal(['login'], { CI: 'true' }).ended
    expect(code).toBe(2)
    expect(screen).toContain('--phone NUMBER')
  })
})
