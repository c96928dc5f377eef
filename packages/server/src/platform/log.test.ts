import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { faultOf } from './fault.ts'
import { jsonLog, type LogFields } from './log.ts'

const lines: string[] = []
const log = jsonLog((line) => lines.push(line))
const { db } = await testDatabase()

const phone = '+821055501234'
const card = '4242424242424242'
const token = `actl_s_${'aB3'.repeat(12)}`

/** What the log makes of it. */
const written = (run: () => void): string => {
  lines.length = 0
  run()
  return lines.join('')
}
const caught = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error
  }
}

test('a line is one JSON object with a time, a level, a message and the fields that it may have', () => {
  const line = written(() =>
    log.warn('A machine is silent', { machineId: 'mch_1', count: 2, route: 'GET /v1/agents/:agent' }),
  )
  expect(line.endsWith('}\n')).toBe(true)
  expect(JSON.parse(line)).toEqual({
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    level: 'warn',
    message: 'A machine is silent',
    machineId: 'mch_1',
    count: 2,
    route: 'GET /v1/agents/:agent',
  })
})

describe('never in a log:', () => {
  const failing = (error: unknown): LogFields => ({ fault: faultOf(error) })
  const wrapped = new Error('A provider did not answer.', { cause: new Error(`To ${phone} is no mobile`) })
  test.each<[string, string, () => void]>([
    ['a field that has no name here', phone, () => log.error('x', { phone } as LogFields)],
    ['a phone under a name that it has', phone, () => log.error('x', { accountId: phone })],
    ['its digits alone', phone.slice(1), () => log.error('x', { step: phone.slice(1) })],
    ['a session token', token, () => log.error('x', { requestId: token, kind: token, fault: token })],
    ['a secret of a provider', 'sk_live_1234', () => log.error('x', { providerId: 'sk_live_1234' })],
    ['the number of a card', card, () => log.error('x', { step: card, fault: card, providerId: card })],
    ['a body', phone, () => log.error('x', { body: { phone } } as LogFields)],
    ['a value that is an object', phone, () => log.error('x', { fault: { phone } } as never)],
    ['a list', phone, () => log.error('x', { step: [phone] } as never)],
    ['an address with its query', 'code=123456', () => log.error('x', { route: '/v1/x?code=123456' })],
    ['a path as it was asked for', '821055501234', () => log.error('x', { route: '/v1/821055501234' })],
    ['an error in place of fields', phone, () => log.error('x', new Error(`To ${phone}`) as never)],
    ['an error as a field', phone, () => log.error('x', { err: new Error(`To ${phone}`) } as never)],
    ['an error in place of a message', phone, () => log.error(new Error(`To ${phone}`) as never)],
    ['the message of an error', phone, () => log.error('x', failing(new Error(`To ${phone}`)))],
    ['a message of several lines', phone, () => log.error('x', failing(new Error(`To\n    at ${phone}`)))],
    [
      'a message that looks like a place',
      'smuggled',
      () => log.error('x', failing(new Error('To\n    at me (/smuggled/file.ts:1:1)'))),
    ],
    [
      'the same, once its message is another one',
      'smuggled',
      () =>
        log.error(
          'x',
          failing(Object.assign(new Error('To\n    at (/smuggled:1:1)\nyou'), { message: 'a' })),
        ),
    ],
    ['the cause of an error', phone, () => log.error('x', failing(wrapped))],
    [
      'what a library hangs on an error',
      phone,
      () => log.error('x', failing(Object.assign(new Error('a'), { detail: phone, code: phone }))),
    ],
    [
      'the name of an error',
      phone,
      () => log.error('x', failing(Object.assign(new Error('a'), { name: phone }))),
    ],
    ['what is thrown and no error', phone, () => log.error('x', failing(phone))],
    ['JSON that cannot be read', 'hush', () => log.error('x', failing(caught(() => JSON.parse('{"hush'))))],
    ['an address that is none', 'hush', () => log.error('x', failing(caught(() => new URL('//hush'))))],
  ])('%s', (_, secret, run) => {
    const line = written(run)
    expect(line).toContain('"level":"error"')
    expect(line).not.toContain(secret)
    expect(JSON.parse(line).at).toBeTruthy()
  })

  test("PostgreSQL's words, which quote the values of a row", async () => {
    const refused = async (run: () => PromiseLike<unknown>): Promise<unknown> => {
      try {
        return await run()
      } catch (error) {
        return error
      }
    }
    const errors = [
      await refused(() => db.jobs`select ${phone}::text::int`),
      await refused(() => db.jobs.unsafe(`select '${phone}x'::bigint`)),
      await refused(() => db.jobs.unsafe(`insert into accounts (id) values ('${phone}')`)),
    ]
    for (const error of errors) {
      const line = written(() => log.error('x', failing(error)))
      expect(line).toMatch(/PostgresError (22003|22P02|42501)/)
      expect(line).not.toContain(phone.slice(1))
    }
  })

  test('a line that somebody else has written: what they sent cannot end one', () => {
    expect(
      written(() => log.error('a\n{"level":"info"}'))
        .trim()
        .split('\n'),
    ).toHaveLength(1)
  })
})

test('a fault is told by its name, its code and its place', () => {
  const missing = Object.assign(new TypeError(`no ${phone}`), { code: 'ERR_X' })
  expect(faultOf(missing)).toMatch(/^TypeError ERR_X at \S.*:\d+:\d+\)?$/)
  expect(JSON.parse(written(() => log.error('x', { fault: faultOf(missing) }))).fault).toBe(faultOf(missing))
})

describe('no line is lost', () => {
  const LINES = 3000
  const modules = ['log', 'fault'].map((name) => new URL(`./${name}.ts`, import.meta.url).href)
  const say = `
    const { standardLog } = await import('${modules[0]}')
    const { endOnFault } = await import('${modules[1]}')
    const log = standardLog()
    endOnFault(log)
    process.once('SIGTERM', () => {
      for (let count = 0; count < ${LINES}; count++) log.info('Stopping', { count })
      process.exit(0)
    })`
  const run = async (then: string, signal?: NodeJS.Signals) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', `${say}\n${then}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const errors = text(child.stderr)
    let printed = ''
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    let signalled = false
    child.stdout.on('data', (chunk: Buffer) => {
      printed += chunk
      if (!signal || signalled || !printed.includes('Ready')) return
      signalled = true
      child.kill(signal)
    })
    const code = await ended
    return {
      code,
      lines: printed
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
      errors: await errors,
    }
  }

  test('at a SIGTERM', async () => {
    const { code, lines: told } = await run(`log.info('Ready'); setInterval(() => {}, 1000)`, 'SIGTERM')
    expect(code).toBe(0)
    expect(told.filter(({ message }) => message === 'Stopping').map(({ count }) => count)).toEqual(
      Array.from({ length: LINES }, (_, count) => count),
    )
  })

  test.each([
    ['an error that nobody catches', `setTimeout(() => { throw new Error('to ${phone}') })`],
    [
      'a rejection that nobody catches',
      `Promise.reject(Object.assign(new Error('to ${phone}'), { detail: '${phone}' }))`,
    ],
  ])('at %s, and neither is its message told', async (_, failing) => {
    const {
      code,
      lines: told,
      errors,
    } = await run(`for (let count = 0; count < ${LINES}; count++) log.info('Working', { count })\n${failing}`)
    expect(code).toBe(1)
    expect(told).toHaveLength(LINES + 1)
    expect(told.at(-1)).toMatchObject({ level: 'error', fault: expect.stringMatching(/^Error/) })
    expect(JSON.stringify(told) + errors).not.toContain(phone.slice(1))
  })
})
