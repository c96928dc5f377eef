import type { OptionSpec } from './command.ts'
import { parseDollars } from './money.ts'

/** A limit in dollars: micro-USD, null for "none", undefined where it was not given. */
export const amountOrNone = (name: string, about: string): OptionSpec<string | null | undefined> => ({
  flags: `--${name} <amount>`,
  about,
  read(raw) {
    if (typeof raw !== 'string') return undefined
    return raw.trim().toLowerCase() === 'none' ? null : parseDollars(raw, `--${name}`)
  },
})
