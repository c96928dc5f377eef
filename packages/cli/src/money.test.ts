import { describe, expect, test } from 'vitest'
import { Failure } from './failure.ts'
import { dollars, parseDollars, plainDollars } from './money.ts'

test.each([
  ['25', '25000000'],
  ['25.5', '25500000'],
  [' 0.000001 ', '1'],
  ['0.10', '100000'],
  ['1000000', '1000000000000'],
])('%s is read exactly', (said, micros) => {
  expect(parseDollars(said, 'The amount')).toBe(micros)
})

describe('what is not a plain amount of dollars is refused in words', () => {
  const refusalOf = (said: string): string => {
    try {
      return `taken for ${parseDollars(said, 'The amount')}`
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'usage') throw error
      return error.message
    }
  }

  test('each for its own reason', () => {
    const said = [
      '',
      '-5',
      '\u22125',
      '0',
      '0.000000',
      '0.0000001',
      '25.1234567',
      '1e3',
      '1.5E+2',
      '0x10',
      '1,000',
      '25,50',
      '1.000,50',
      '1 000',
      '1_000',
      '$25',
      '25USDC',
      '25 usd',
      '25€',
      '25%',
      '1000000.000001',
      '1000001',
      '99999999999999999999999999999999999999999999',
      'Infinity',
      'NaN',
      'twenty',
      '.5',
      '5.',
      '1.2.3',
      '007',
      '+5',
      '٢٥',
    ]
    expect(said.map(refusalOf).join('\n')).toMatchInlineSnapshot(`
      "The amount is empty: ''
      The amount is negative: '-5'
      The amount is negative: '−5'
      The amount is zero: '0'
      The amount is zero: '0.000000'
      The amount has more than six decimals, and credits have no smaller part: '0.0000001'
      The amount has more than six decimals, and credits have no smaller part: '25.1234567'
      The amount is not written in plain digits: '1e3'
      The amount is not written in plain digits: '1.5E+2'
      The amount is not written in plain digits: '0x10'
      The amount has a comma (the decimal point is a point, and thousands are not separated): '1,000'
      The amount has a comma (the decimal point is a point, and thousands are not separated): '25,50'
      The amount has a comma (the decimal point is a point, and thousands are not separated): '1.000,50'
      The amount has a separator within the number: '1 000'
      The amount has a separator within the number: '1_000'
      The amount has a unit (it is in dollars, the number alone): '$25'
      The amount has a unit (it is in dollars, the number alone): '25USDC'
      The amount has a unit (it is in dollars, the number alone): '25 usd'
      The amount has a unit (it is in dollars, the number alone): '25€'
      The amount has a unit (it is in dollars, the number alone): '25%'
      The amount is more than $1,000,000: '1000000.000001'
      The amount is more than $1,000,000: '1000001'
      The amount is more than $1,000,000: '9999999999999999999999999999999999999999…'
      The amount is not an amount: 'Infinity'
      The amount is not an amount: 'NaN'
      The amount is not an amount: 'twenty'
      The amount is not an amount: '.5'
      The amount is not an amount: '5.'
      The amount is not an amount: '1.2.3'
      The amount is not an amount: '007'
      The amount is not an amount: '+5'
      The amount is not an amount: '٢٥'"
    `)
  })
})

test('amounts are shown to people without rounding, and to programs with six decimals', () => {
  const micros = ['0', '1', '-20000', '25500000', '1234567890', '-1000000', '9223372036854775807']
  expect(micros.map((amount) => [dollars(amount), plainDollars(amount)])).toMatchInlineSnapshot(`
    [
      [
        "$0.00",
        "0.000000",
      ],
      [
        "$0.000001",
        "0.000001",
      ],
      [
        "-$0.02",
        "-0.020000",
      ],
      [
        "$25.50",
        "25.500000",
      ],
      [
        "$1,234.56789",
        "1234.567890",
      ],
      [
        "-$1.00",
        "-1.000000",
      ],
      [
        "$9,223,372,036,854.775807",
        "9223372036854.775807",
      ],
    ]
  `)
})
