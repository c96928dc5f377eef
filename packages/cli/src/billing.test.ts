import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ResponseOf } from '@agentctl/contract/api.ts'
import {
  entryText,
  GENESIS_HASH,
  headText,
  LEDGER_FORMAT,
  type LedgerEntry,
  type LedgerExport,
} from '@agentctl/contract/ledger-export.ts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Answers, type Asked, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

const key = `actl_k_${'A'.repeat(36)}`
let machine: Machine
let api: FakeApi
let answers: Answers
beforeAll(async () => {
  machine = await newMachine()
})
afterAll(() => machine.remove())
beforeEach(async () => {
  answers = {}
  api = await startFakeApi(answers)
})
afterEach(() => api.close())

const run = (...args: string[]) =>
  machine.run(['billing', ...args], { env: { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: key } })
const errorOf = ({ stderr }: { stderr: string }) => JSON.parse(stderr).error

describe('billing balance', () => {
  const burning = {
    creditsMicros: '5000000',
    heldMicros: '0',
    hourlyMicros: '20000',
    runwaySeconds: 900_000,
    suspendsAt: '2026-12-04T02:00:00Z',
  }

  test('tells what is there and how long it lasts', async () => {
    answers['GET /v1/billing/balance'] = () => burning
    const { stdout, code } = await run('balance')
    expect(code).toBe(0)
    expect(stdout.replace(/suspends .*\(/, 'suspends  SOON (')).toMatchInlineSnapshot(`
      "credits   $5.00
      burns     $0.02 an hour
      lasts     10 days
      suspends  SOON (2026-12-04T02:00:00Z)
      "
    `)
    expect(JSON.parse((await run('balance', '--json')).stdout)).toEqual(burning)
  })

  test('--min-runway is exit 5 below it, and prints the balance all the same', async () => {
    answers['GET /v1/billing/balance'] = () => burning
    expect((await run('balance', '--min-runway', '250h')).code).toBe(0)
    const below = await run('balance', '--min-runway', '251h', '--json')
    expect(below.code).toBe(5)
    expect(JSON.parse(below.stdout)).toEqual(burning)
    expect(errorOf(below)).toMatchObject({
      code: 'insufficient_credits',
      message: 'The credits last 250 h, less than 251 h',
      next: ['agentctl billing deposit 25'],
    })
  })

  test('where nothing burns, any credit is enough, but none is not: agents may be suspended for it', async () => {
    let creditsMicros = '1'
    answers['GET /v1/billing/balance'] = () => ({
      ...burning,
      creditsMicros,
      heldMicros: '0',
      hourlyMicros: '0',
      runwaySeconds: null,
      suspendsAt: null,
    })
    expect((await run('balance', '--min-runway', '365d')).code).toBe(0)
    creditsMicros = '0'
    const none = await run('balance', '--min-runway', '1h')
    expect(none.code).toBe(5)
    expect(none.stderr).toContain('There are no credits, less than 1 h')
    expect(none.stdout).toContain('agents rest until a deposit')
    expect((await run('balance')).code).toBe(0)
  })
})

test('billing prices needs no login', async () => {
  answers['GET /v1/billing/prices'] = ({ headers }) => {
    expect(headers.authorization).toBeUndefined()
    const none = { vcpus: null, memoryMegabytes: null, diskGigabytes: null, transferTerabytes: null }
    return {
      currency: 'USD' as const,
      prices: [
        {
          size: 'nano' as const,
          hourlyMicros: '10000',
          vcpus: 1,
          memoryMegabytes: 1024,
          diskGigabytes: 25,
          transferTerabytes: 1,
        },
        { size: 'stopped' as const, hourlyMicros: '1000', ...none },
      ],
      graceDays: 14,
    }
  }
  const { stdout } = await machine.run(['billing', 'prices'], { env: { AGENTCTL_API_URL: api.url } })
  expect(stdout).toMatchInlineSnapshot(`
    "SIZE     AN HOUR  A MONTH      VCPU  MEMORY  DISK   TRANSFER
    nano     $0.01    about $7.30  1     1 GB    25 GB  1 TB
    stopped  $0.001   about $0.73  -     -       -      -

    Paid by the second, from the first time that a release is healthy.
    Agents without credits are suspended; their snapshots are kept for 14 days.
    "
  `)
})

describe('billing usage', () => {
  const row = (day: string, agent: string | null, chargedMicros: string) => ({
    day,
    subject: `agt_${agent}`,
    agent,
    namespace: agent === null ? null : 'demo',
    seconds: 3600,
    chargedMicros,
  })
  const rows = [
    row('2026-11-01', 'hello', '480000'),
    row('2026-11-01', 'a-name-that-is-longer-than-any-chart-has-room-for', '20000'),
    row('2026-11-03', 'hello', '240000'),
    row('2026-11-04', null, '1'),
  ]

  test('draws what was charged in 80 columns, readable without colour', async () => {
    answers['GET /v1/billing/usage'] = () => ({
      since: '2026-11-01T00:00:00Z',
      until: '2026-11-05T00:00:00Z',
      totalMicros: '740001',
      forecastMicros: '14400000',
      creditsEndAt: null,
      rows,
    })
    const { stdout } = await run('usage', '--by', 'day,agent,namespace')
    expect(stdout).toMatchInlineSnapshot(`
      "$0.740001 from 2026-11-01 to 2026-11-05.
      If all goes on as it is, this month comes to $14.40.

      DAY
      2026-11-01  █████████████████████████████████████████████████████████      $0.50
      2026-11-02                                                                 $0.00
      2026-11-03  ███████████████████████████▎                                   $0.24
      2026-11-04  ▏                                                          $0.000001

      NAMESPACE
      demo  ██████████████████████████████████████████████████████      $0.74      3 h
      -     ▏                                                       $0.000001   60 min

      AGENT
      demo/hello                    ██████████████████████████████      $0.72      2 h
      demo/a-name-that-is-longer-…  ▊                                   $0.02   60 min
      agt_null                      ▏                               $0.000001   60 min
      "
    `)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('asks for the time and namespace that were told', async () => {
    answers['GET /v1/billing/usage'] = ({ query }) => ({
      since: String(query.since),
      until: '2026-11-05T00:00:00Z',
      totalMicros: '0',
      forecastMicros: '5000000',
      creditsEndAt: '2026-11-09T12:00:00Z',
      rows: [],
    })
    const { code, stdout } = await run('usage', '--since', '2026-11-02', '-n', 'demo')
    expect(code).toBe(0)
    expect(stdout).toContain(
      'If all goes on as it is, credits end on 2026-11-09, and this month comes to $5.00.',
    )
    expect(api.asked[0]?.query).toEqual({ since: '2026-11-02T00:00:00.000Z', namespace: 'demo' })
    expect((await run('usage', '--since', '2026-11-02', '--until', '2026-11-01')).code).toBe(2)
    expect((await run('usage', '--since', 'yesterday')).code).toBe(2)
  })
})

describe('billing limits', () => {
  const none = {
    softHourlyMicros: null,
    softMonthlyMicros: null,
    hardHourlyMicros: null,
    hardMonthlyMicros: null,
  }

  test('changes only what was told; none takes a limit away', async () => {
    answers['GET /v1/billing/limits'] = () => none
    answers['PATCH /v1/billing/limits'] = ({ body }) => ({ ...none, ...(body as Partial<typeof none>) })
    expect((await run('limits')).stdout).toMatchInlineSnapshot(`
      "soft hourly   none
      soft monthly  none
      hard hourly   none
      hard monthly  none
      "
    `)
    const changed = await run('limits', '--hard-monthly', '50', '--soft-hourly', 'none')
    expect(changed.stdout).toMatchInlineSnapshot(`
      "soft hourly   none
      soft monthly  none
      hard hourly   none
      hard monthly  $50.00
      "
    `)
    expect(api.asked.at(-1)?.body).toEqual({ hardMonthlyMicros: '50000000', softHourlyMicros: null })
  })

  test('refuses what is no amount, before anything is asked', async () => {
    for (const amount of ['0', '1e3', '50 usd', '1,000']) {
      const { code, stderr } = await run('limits', '--hard-hourly', amount)
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--hard-hourly') })
    }
    expect(api.asked).toEqual([])
  })
})

describe('billing history', () => {
  type Page = ResponseOf<'GET /v1/billing/history'>
  const entry = (number: number, description = `Deposit dep_${number}`): Page['entries'][number] => ({
    id: `txn_${number}`,
    at: new Date(Date.UTC(2026, 10, 1, 0, number)).toISOString(),
    kind: 'deposit',
    description,
    reference: `dep_${number}`,
    amountMicros: number % 2 ? '25000000' : '-20000',
    balanceMicros: String(number * 1_000_000),
  })
  /** Sixty entries, newest first, in pages as long as they are asked for, at most ten. */
  const paged = ({ query }: Asked): Page => {
    const from = Number(query.cursor ?? 60)
    const count = Math.min(Number(query.limit), 10, from)
    const entries = Array.from({ length: count }, (_, index) => entry(from - index))
    return { entries, nextCursor: from - count > 0 ? String(from - count) : null }
  }

  test('shows the newest entries and says that there are more', async () => {
    answers['GET /v1/billing/history'] = paged
    const { stdout, stderr } = await run(
      'history',
      '--limit',
      '2',
      '--kind',
      'deposit',
      '--since',
      '2026-10-01',
    )
    expect({ stdout, stderr }).toMatchInlineSnapshot(`
      {
        "stderr": "There is more: --all, or --cursor 58
      ",
        "stdout": "AT                    KIND     WHAT            AMOUNT   BALANCE
      2026-11-01T01:00:00Z  deposit  Deposit dep_60  -$0.02   $60.00
      2026-11-01T00:59:00Z  deposit  Deposit dep_59  +$25.00  $59.00
      ",
      }
    `)
    expect(api.asked[0]?.query).toEqual({ since: '2026-10-01T00:00:00.000Z', kind: 'deposit', limit: 2 })
  })

  test('goes through the pages until it has as many as were asked for, or all', async () => {
    answers['GET /v1/billing/history'] = paged
    const some: Page = JSON.parse((await run('history', '--limit', '25', '--json')).stdout)
    expect(some.entries.map(({ id }) => id)).toEqual(Array.from({ length: 25 }, (_, at) => `txn_${60 - at}`))
    expect(some.nextCursor).toBe('35')
    const rest: Page = JSON.parse((await run('history', '--cursor', '35', '--all', '--json')).stdout)
    expect(rest).toMatchObject({ entries: { length: 35 }, nextCursor: null })
    expect((await run('history', '--all')).stdout.trim().split('\n')).toHaveLength(61)
  })

  test('--csv is all of it, in exact amounts, and runs nothing in a spreadsheet', async () => {
    answers['GET /v1/billing/history'] = () => ({
      entries: [entry(2, '=HYPERLINK("http://evil"),x'), entry(1, 'Refund "late", twice')],
      nextCursor: null,
    })
    expect((await run('history', '--csv')).stdout).toMatchInlineSnapshot(`
      "at,id,kind,description,reference,amount_micros,balance_micros,amount_usd,balance_usd
      2026-11-01T00:02:00.000Z,txn_2,deposit,"'=HYPERLINK(""http://evil""),x",dep_2,-20000,2000000,-0.020000,2.000000
      2026-11-01T00:01:00.000Z,txn_1,deposit,"Refund ""late"", twice",dep_1,25000000,1000000,25.000000,1.000000
      "
    `)
    expect((await run('history', '--csv', '--json')).code).toBe(2)
    expect((await run('history', '--all', '--limit', '1')).code).toBe(2)
    expect(await run('history', '--kind', 'deposits')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('deposit, charge, refund, reversal'),
    })
  })
})

describe('billing verify', () => {
  const keys = generateKeyPairSync('ed25519')
  const publicKeyOf = (key: KeyObject) =>
    key.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64')

  async function ledgerOf(amounts: string[], signer = keys): Promise<LedgerExport> {
    let hash = GENESIS_HASH
    let balance = 0n
    const entries: LedgerEntry[] = []
    for (const [index, amountMicros] of amounts.entries()) {
      balance += BigInt(amountMicros)
      const bare = {
        sequence: index + 1,
        at: `2026-11-0${index + 1}T00:00:00.000Z`,
        kind: 'deposit',
        reference: `dep_${index + 1}`,
        transaction: `deposit:${index + 1}`,
        amountMicros,
        balanceMicros: String(balance),
      }
      const text = Buffer.concat([Buffer.from(hash, 'hex'), Buffer.from(entryText('led_1', bare))])
      hash = Buffer.from(await crypto.subtle.digest('SHA-256', text)).toString('hex')
      entries.push({ ...bare, hash })
    }
    const head = {
      entries: entries.length,
      hash,
      balanceMicros: String(balance),
      signedAt: '2026-11-09T00:00:00.000Z',
      keyId: 'l1',
    }
    const signature = sign(null, Buffer.from(headText('led_1', head)), signer.privateKey).toString('base64')
    return {
      format: LEDGER_FORMAT,
      ledgerAccount: 'led_1',
      entries,
      head: { ...head, publicKey: publicKeyOf(signer.publicKey), signature },
    }
  }
  const write = (name: string, value: unknown): string => {
    writeFileSync(join(machine.home, name), typeof value === 'string' ? value : JSON.stringify(value))
    return name
  }
  /** No network: whatever would be asked for ends at a closed port. */
  const verify = (own: Machine, file: string, ...more: string[]) =>
    own.run(['billing', 'verify', join(machine.home, file), ...more], {
      env: { AGENTCTL_API_URL: 'http://127.0.0.1:9' },
    })

  test('finds what the service signed valid, offline, as it was exported', async () => {
    const ledger = await ledgerOf(['25000000', '-20000'])
    answers['GET /v1/billing/ledger'] = () => ({
      status: 200,
      body: JSON.stringify(ledger),
      headers: { 'content-type': 'application/json' },
    })
    answers['GET /v1/billing/ledger-keys'] = () => ({
      keys: [{ keyId: 'l1', publicKey: ledger.head.publicKey }],
    })
    const exported = await run('history', '--json')
    expect({ code: exported.code, stderr: exported.stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(exported.stdout)).toEqual(ledger)
    const file = write('ledger.json', exported.stdout)
    expect(await verify(machine, file)).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "",
        "stdout": "Valid: 2 entries, balance $24.98, signed 2026-11-09T00:00:00.000Z by key l1.
      ",
      }
    `)
    const { stdout } = await verify(machine, file, '--json')
    expect(JSON.parse(stdout)).toMatchObject({ valid: true, entries: 2, keyKnown: true })
    const marked = write('marked.json', `\uFEFF${exported.stdout}`)
    expect(await verify(machine, marked)).toMatchObject({ code: 0, stderr: '' })
  })

  test('notices a changed digit, a missing middle and a cut end, and says where', async () => {
    const ledger = await ledgerOf(['25000000', '-20000', '5000000'])
    const [one, two, three] = ledger.entries
    if (!one || !two || !three) throw new Error('it has three entries')
    const tampered = {
      digit: { ...ledger, entries: [one, { ...two, amountMicros: '-10000' }, three] },
      middle: { ...ledger, entries: [one, three] },
      end: { ...ledger, entries: [one, two] },
      head: { ...ledger, head: { ...ledger.head, entries: 2 } },
      nothing: 'no JSON at all',
    }
    const told: Record<string, unknown> = {}
    for (const [name, document] of Object.entries(tampered)) {
      const { code, stdout, stderr } = await verify(machine, write(`${name}.json`, document), '--json')
      expect({ code, error: JSON.parse(stderr).error.code }).toEqual({ code: 1, error: 'ledger_invalid' })
      const { valid, fault, sequence, message } = JSON.parse(stdout)
      told[name] = { valid, fault, sequence, message }
    }
    expect(told).toMatchInlineSnapshot(`
      {
        "digit": {
          "fault": "changed",
          "message": "Entry 2 was changed: it does not match its hash.",
          "sequence": 2,
          "valid": false,
        },
        "end": {
          "fault": "cut",
          "message": "The end was cut off: the head names 3 entries, here are 2.",
          "sequence": 3,
          "valid": false,
        },
        "head": {
          "fault": "unsigned",
          "message": "The head does not carry a valid signature.",
          "sequence": null,
          "valid": false,
        },
        "middle": {
          "fault": "missing",
          "message": "Entry 2 is missing; entry 3 comes instead.",
          "sequence": 2,
          "valid": false,
        },
        "nothing": {
          "fault": "malformed",
          "message": "This is not an exported ledger.",
          "sequence": null,
          "valid": false,
        },
      }
    `)
    expect((await verify(machine, 'no-such-file.json')).code).toBe(2)
    const folder = await verify(machine, '.')
    expect(folder).toMatchObject({ code: 2, stderr: expect.stringContaining('is a folder') })
  })

  test('takes no ledger that somebody signed with a key of their own', async () => {
    const forged = write('forged.json', await ledgerOf(['99000000'], generateKeyPairSync('ed25519')))
    const here = await verify(machine, forged)
    expect(here).toMatchObject({ code: 1, stderr: expect.stringContaining("which is not the service's") })
    const elsewhere = await newMachine()
    try {
      const unknown = await verify(elsewhere, forged)
      expect(unknown).toMatchObject({ code: 0, stderr: expect.stringContaining('whoever wrote the file') })
      const told = await verify(elsewhere, forged, '--public-key', publicKeyOf(keys.publicKey))
      expect(told.code).toBe(1)
    } finally {
      elsewhere.remove()
    }
  })

  test('keeps the key of the service for its owner alone', () => {
    const config = JSON.parse(readFileSync(join(machine.home, 'config', 'config.json'), 'utf8'))
    expect(Object.values(config.ledgerKeys)).toEqual([[publicKeyOf(keys.publicKey)]])
  })
})

describe('billing deposit', () => {
  const chains = [
    {
      chain: 'base',
      chainId: 8453,
      rpcUrl: 'https://rpc.example.com',
      token: { symbol: 'USDC', address: `0x${'a'.repeat(40)}`, decimals: 6 },
      address: `0x${'b'.repeat(40)}`,
    },
  ]

  test('--address tells where to pay, and nothing else', async () => {
    answers['GET /v1/billing/deposit-addresses'] = () => ({ chains, wallets: [] })
    expect((await run('deposit', '--address')).stdout).toMatchInlineSnapshot(`
      "chain   base (8453)
      pay to  0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
      token   USDC, 0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      from    a wallet that is linked to your account: agentctl account show
      "
    `)
    expect(JSON.parse((await run('deposit', '--address', '--json')).stdout)).toEqual({ chains })
    expect((await run('deposit', '--address', '--chain', 'solana')).stderr).toContain('--chain takes base')
  })

  test.each([
    [[], 'Give one of'],
    [['25', '--address'], 'Give one of'],
    [['25', '--card', '25'], 'Give one of'],
    [['1e3'], 'plain digits'],
    [['25.1234567'], 'six decimals'],
    [['0'], 'zero'],
    [['-5'], '-5'],
    [['--card', '1,000'], 'comma'],
    [['\u001b[31m5'], '\u{fffd}[31m5'],
    [['--tx', '0x12'], '64 hexadecimal digits'],
    [['--tx', 'ab'.repeat(32)], '64 hexadecimal digits'],
  ])('%j is exit 2, before anything is asked', async (args, said) => {
    const { code, stdout, stderr } = await run('deposit', ...args)
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(said) })
    expect(api.asked).toEqual([])
  })

  const checkout = {
    id: 'chk_1',
    status: 'open' as const,
    url: 'https://checkout.example.com/pay/1',
    amountMicros: '25000000',
    creditsMicros: null,
    createdAt: '2026-11-01T00:00:00Z',
    expiresAt: '2026-11-02T00:00:00Z',
  }

  test('--card shows the page of the payment processor and waits until it is paid', async () => {
    answers['POST /v1/billing/checkouts'] = () => checkout
    const states = ['open', 'processing', 'paid'] as const
    let asked = 0
    answers['GET /v1/billing/checkouts/:checkout'] = () => {
      const status = states[Math.min(asked++, 2)] ?? 'paid'
      return { ...checkout, status, creditsMicros: status === 'paid' ? '25000000' : null }
    }
    const { code, stdout, stderr } = await run('deposit', '--card', '25')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Credited $25.00, paid by card.\n' })
    expect(stderr).toContain('Pay $25.00 by card here:\nhttps://checkout.example.com/pay/1\n')
    expect(api.asked[0]?.body).toEqual({ amountMicros: '25000000' })
    expect(asked).toBe(3)
  })

  test('--card --no-wait prints the page alone', async () => {
    answers['POST /v1/billing/checkouts'] = () => checkout
    const { code, stdout } = await run('deposit', '--card', '25', '--no-wait')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'https://checkout.example.com/pay/1\n' })
  })

  test('--card that nobody pays is exit 8 when the wait ends, 1 when the page expires', async () => {
    answers['POST /v1/billing/checkouts'] = () => checkout
    answers['GET /v1/billing/checkouts/:checkout'] = () => checkout
    const waiting = await run('deposit', '--card', '25', '--timeout', '1s', '--json')
    expect(waiting.code).toBe(8)
    expect(JSON.parse(waiting.stdout)).toEqual(checkout)
    answers['GET /v1/billing/checkouts/:checkout'] = () => ({ ...checkout, status: 'expired' as const })
    const expired = await run('deposit', '--card', '25.50', '--json')
    expect(expired.code).toBe(1)
    expect(errorOf(expired)).toMatchObject({
      code: 'deposit_rejected',
      fix: 'Try again: agentctl billing deposit --card 25.5',
    })
  })

  test('of a service without card payments says what to do', async () => {
    answers['POST /v1/billing/checkouts'] = () => refusal('provider_unavailable', 'No cards at the moment.')
    expect((await run('deposit', '--card', '25')).code).toBe(7)
  })
})
