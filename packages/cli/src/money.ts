import { Failure } from './failure.ts'

/** Dollars for people: "$0.02", and as many digits as it takes for small amounts ("$0.000005"). */
export function dollars(micros: string): string {
  const amount = BigInt(micros)
  const absolute = amount < 0n ? -amount : amount
  const whole = (absolute / 1_000_000n).toString().replace(/\B(?=(\d{3})+$)/g, ',')
  const fraction = (absolute % 1_000_000n)
    .toString()
    .padStart(6, '0')
    .replace(/0{0,4}$/, '')
  return `${amount < 0n ? '-' : ''}$${whole}.${fraction}`
}

/** The same for programs that calculate: "-0.020000", exact, without a sign of its currency. */
export function plainDollars(micros: string): string {
  const amount = BigInt(micros)
  const digits = (amount < 0n ? -amount : amount).toString().padStart(7, '0')
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`
}

/** Nobody means more than this at once; it is rather an amount in another unit. */
const MOST_DOLLARS = 1_000_000n
const MICROS_PER_DOLLAR = 1_000_000n

/** Micro-USD from dollars as people type them: "25", "25.5", at most six decimals. `what` is named in a refusal. */
export function parseDollars(said: string, what: string): string {
  const text = said.trim()
  const refuse = (why: string) => {
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text
    return new Failure('usage', `${what} ${why}: '${shown}'`, {
      fix: 'Write dollars, such as 25 or 25.50.',
    })
  }
  if (text === '') throw refuse('is empty')
  if (/^[-\u2212]/.test(text)) throw refuse('is negative')
  if (/^\d[\d._' ]*,[\d,.]*$/.test(text)) {
    throw refuse('has a comma (the decimal point is a point, and thousands are not separated)')
  }
  if (/^\d[\d_' .]*[_' ][\d_' .]*$/.test(text)) throw refuse('has a separator within the number')
  if (/^\d[\d.]*e[-+]?\d+$/i.test(text) || /^0x/i.test(text)) {
    throw refuse('is not written in plain digits')
  }
  if (/\d/.test(text) && /[^\d.+]/.test(text)) throw refuse('has a unit (it is in dollars, the number alone)')
  const [, whole, fraction = ''] = /^(0|[1-9]\d*)(?:\.(\d+))?$/.exec(text) ?? []
  if (whole === undefined) throw refuse('is not an amount')
  if (fraction.length > 6) throw refuse('has more than six decimals, and credits have no smaller part')
  if (whole.length > 7 || BigInt(whole) > MOST_DOLLARS) throw refuse('is more than $1,000,000')
  const micros = BigInt(whole) * MICROS_PER_DOLLAR + BigInt(fraction.padEnd(6, '0'))
  if (micros === 0n) throw refuse('is zero')
  if (micros > MOST_DOLLARS * MICROS_PER_DOLLAR) throw refuse('is more than $1,000,000')
  return String(micros)
}
