import { expect, test } from 'vitest'
import { matches, parseTranscript } from './transcript.ts'

test('a page is read as commands, output and exit codes', () => {
  const page = 'Text\n\n```console\n$ one\n> more\nout …\n$ two\n[exit 3]\n```\n'
  expect(parseTranscript(page)).toEqual([
    { line: 4, command: 'one\nmore', expected: ['out …'], exit: 0 },
    { line: 7, command: 'two', expected: [], exit: 3 },
  ])
})

test('output that differs from the page is noticed', () => {
  expect(matches(['live at …', '…', 'end'], 'live at x\na\nb\nend\n')).toBe(true)
  expect(matches(['live at …', 'end'], 'live at x\na\nend\n')).toBe(false)
  expect(matches(['live'], 'live and more\n')).toBe(false)
  expect(matches([], 'something\n')).toBe(false)
  expect(matches(['a.c'], 'abc\n')).toBe(false)
})
