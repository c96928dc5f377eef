import { describe, expect, test } from 'vitest'
import { JsonError, parseLocated } from './json-positions.ts'

describe('reads what JSON.parse reads', () => {
  test.each([
    '{}',
    '[]',
    'null',
    '"a\\u00e9\\n\\"b"',
    '-1.5e+3',
    ' { "a" : [ 1 , { "b" : true } , "c" ] , "d" : null } \n',
    '{"__proto__": {"x": 1}}',
  ])('%s', (text) => {
    expect(parseLocated(text).value).toEqual(JSON.parse(text))
  })
})

test('tells where each value stands, and its nearest parent for one that is missing', () => {
  const { locate } = parseLocated('{\n  "port": 80,\n  "health": {\n    "path": "x"\n  }\n}')
  expect(locate(['port'])).toEqual({ line: 2, column: 3 })
  expect(locate(['health', 'path'])).toEqual({ line: 4, column: 5 })
  expect(locate(['health', 'absent'])).toEqual({ line: 3, column: 3 })
  expect(locate([])).toEqual({ line: 1, column: 1 })
})

describe('says what is wrong and where', () => {
  test.each([
    ['', 1, 1, 'expected a value, the file ends'],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3, 'expected a comma or }, found "\\""'],
    ['{"a": 1,}', 1, 9, 'a comma before } is one too many'],
    ["{'a': 1}", 1, 2, 'expected a name in quotation marks, found "\'"'],
    ['{name: 1}', 1, 2, 'expected a name in quotation marks, found name'],
    ['{"a" 1}', 1, 6, 'expected a colon after "a", found 1'],
    ['{"a": yes}', 1, 7, 'expected a value, found yes'],
    ['{"a": 01}', 1, 7, 'expected a value, found 01'],
    ['{"a": "x\n"}', 1, 7, 'this text has no closing quotation mark'],
    ['{"a": 1, "a": 2}', 1, 10, '"a" stands here twice'],
    ['{"a": 1 // one\n}', 1, 9, 'comments are not allowed in JSON'],
    ['{} x', 1, 4, 'expected the end of the file, found x'],
    ['{"a": "\\q"}', 1, 7, 'this text holds a character that has to be escaped'],
  ])('%j', (text, line, column, message) => {
    let thrown: unknown
    try {
      parseLocated(text)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(JsonError)
    expect(thrown).toMatchObject({ message, position: { line, column } })
  })
})
