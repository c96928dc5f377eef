import { expect, test } from 'vitest'
import { suffixedLabel, wantedLabel } from './labels.ts'
import { testCloud } from './test-cloud.ts'

const cloud = await testCloud()
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

test('a label is the two names while they fit, and never longer than 63', () => {
  expect(wantedLabel('hello', 'demo')).toBe('hello-demo')
  const long = wantedLabel('a'.repeat(32), 'b'.repeat(32))
  expect(long).toMatch(/^a{32}-b{23}-[a-z0-9]{6}$/)
  expect(long).toHaveLength(63)
  expect(suffixedLabel('hello', 'demo')).toMatch(/^hello-demo-[a-z0-9]{6}$/)
})

test('a label never looks like an encoded one', () => {
  expect(wantedLabel('xn--abc', 'demo')).toBe('a-xn--abc-demo')
  for (const name of ['xn--abc', 'x', 'ab-', 'a-b']) expect(wantedLabel(name, 'd')).not.toMatch(/^..--/)
})

test('two pairs of names that ask for the same label get different ones, for good', async () => {
  const one = await cloud.person('b-c')
  const other = await cloud.person('c')
  const first = await one.call('POST', '/v1/agents', { name: 'a' })
  const second = await other.call('POST', '/v1/agents', { name: 'a-b' })
  expect(first.body.url).toContain('//a-b-c.')
  expect(second.body.url).toMatch(/\/\/a-b-c-[a-z0-9]{6}\./)
  const again = await other.call('POST', '/v1/agents', { name: 'a-b' })
  expect(again.body).toEqual(second.body)
  const labels = await cloud.sql<{ label: string }[]>`select label from agents`
  for (const { label } of labels) expect(label).toMatch(LABEL)
})

test('two accounts that ask for the same label at once get one each', async () => {
  const [one, other] = [await cloud.person('y-z'), await cloud.person('z')]
  for (let at = 0; at < 5; at++) {
    const answers = await Promise.all([
      one.call('POST', '/v1/agents', { name: `x${at}` }),
      other.call('POST', '/v1/agents', { name: `x${at}-y` }),
    ])
    const urls = answers.map(({ body }) => String(body.url)).sort((a, b) => a.length - b.length)
    expect(urls).toEqual([
      expect.stringContaining(`//x${at}-y-z.`),
      expect.stringMatching(new RegExp(`//x${at}-y-z-[a-z0-9]{6}\\.`)),
    ])
  }
})

test('an agent that is asked for many times at once is one', async () => {
  const person = await cloud.person('crowd')
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => person.call('POST', '/v1/agents', { name: 'hello' })),
  )
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
})

test('a renamed namespace leaves addresses as they are', async () => {
  const person = await cloud.person('before')
  const { body } = await person.call('POST', '/v1/agents', { name: 'hello' })
  await cloud.sql`update namespaces set name = 'after' where id = ${person.namespaceId}`
  expect((await person.call('GET', `/v1/agents/${body.id}`)).body).toMatchObject({
    namespace: 'after',
    url: body.url,
  })
})
