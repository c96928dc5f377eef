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
