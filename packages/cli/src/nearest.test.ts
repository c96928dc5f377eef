import { expect, test } from 'vitest'
import { parseDuration } from './command.ts'
import { dollars } from './money.ts'
import { nearest } from './nearest.ts'
import { relative } from './times.ts'

test.each([
  ['depoly', 'deploy'],
  ['lgoin', 'login'],
  ['agent', 'agents'],
  ['secert', 'secrets'],
  ['x', undefined],
  ['kubernetes', undefined],
])('%s was probably %s', (typed, meant) => {
  expect(nearest(typed, ['login', 'deploy', 'agents', 'secrets', 'keys'])).toBe(meant)
})

test.each([
  ['20000', '$0.02'],
  ['0', '$0.00'],
  ['5', '$0.000005'],
  ['1234567890000', '$1,234,567.89'],
  ['-1500000', '-$1.50'],
])('%s micro-dollars are %s', (micros, text) => {
  expect(dollars(micros)).toBe(text)
})

test.each([
  ['90', 90],
  ['90s', 90],
  ['5m', 300],
  ['2h', 7200],
  ['7d', 604_800],
  ['', undefined],
  ['5 m', undefined],
  ['-5m', undefined],
  ['1.5h', undefined],
])('%s lasts %s seconds', (said, seconds) => {
  expect(parseDuration(said)).toBe(seconds)
})

test('times are told from now on', () => {
  const now = new Date('2026-11-23T12:00:00Z')
  expect(relative('2026-11-23T11:55:00Z', now)).toBe('5 min ago')
  expect(relative('2026-11-26T12:00:00Z', now)).toBe('in 3 days')
})
