import { expect, test } from 'vitest'
import { parseDotenv } from './dotenv.ts'

test('reads the lines that people write', () => {
  const text = `# comment
A=1
export B = two words  # note
C="with # and \\"quotes\\" and\\nbreak"
D='single $X # kept'
E="two
lines"

F=a=b#c
`
  expect(parseDotenv(text)).toEqual({
    A: '1',
    B: 'two words',
    C: 'with # and "quotes" and\nbreak',
    D: 'single $X # kept',
    E: 'two\nlines',
    F: 'a=b#c',
  })
})

test.each([
  ['A=\n', 'Line 1: A is empty'],
  ['A=1\nB=""\n', 'Line 2: B is empty'],
  ['A=1\n\nA=2\n', 'Line 3: A stands here twice'],
  ['A\n', 'Line 1: this is not NAME=value'],
  ['A="open\n', 'Line 1: this is not NAME=value'],
  ['A="x"y\n', 'Line 1: this is not NAME=value'],
  ['1A=x\n', 'Line 1: this is not NAME=value'],
  ['E="two\nlines"\nbad line\n', 'Line 3: this is not NAME=value'],
])('%j is refused as a whole', (text, message) => {
  expect(() => parseDotenv(text)).toThrow(message)
})
