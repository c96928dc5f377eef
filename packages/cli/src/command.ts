import type { Context } from './context.ts'
import { type Ending, Failure } from './failure.ts'

/** An option as it is declared: how it is typed, what it says, and how its text becomes a value. */
export interface OptionSpec<T> {
  flags: string
  about: string
  choices?: readonly string[]
  repeatable?: true
  read(raw: unknown): T
}

export interface ArgumentSpec<T> {
  /** `<name>`, `[name]`, `<names...>` or `[names...]`. */
  form: string
  about: string
  read(raw: unknown): T
}

type Specs<S> = Record<string, S>
type Values<S> = { [K in keyof S]: S[K] extends { read(raw: unknown): infer T } ? T : never }

/** A command with its types erased, as the tree holds it. */
export interface Command {
  summary: string
  details?: string
  args: ArgumentSpec<unknown>[]
  options: OptionSpec<unknown>[]
  examples: string[]
  /** `values` are found by the attribute name that commander gives to an option. */
  start(ctx: Context, words: readonly unknown[], optionValue: (flags: string) => unknown): Promise<Ending>
}

export interface Group {
  summary: string
  commands: Record<string, Command | Group>
}

export const isGroup = (node: Command | Group): node is Group => 'commands' in node

export function defineCommand<
  A extends Specs<ArgumentSpec<unknown>>,
  O extends Specs<OptionSpec<unknown>>,
>(spec: {
  summary: string
  details?: string
  args?: A
  options?: O
  examples: string[]
  run(ctx: Context, args: Values<A>, flags: Values<O>): Promise<Ending> | Promise<void>
}): Command {
  const args = Object.entries(spec.args ?? {})
  const options = Object.entries(spec.options ?? {})
  return {
    summary: spec.summary,
    ...(spec.details === undefined ? {} : { details: spec.details }),
    args: args.map(([, arg]) => arg),
    options: options.map(([, option]) => option),
    examples: spec.examples,
    async start(ctx, words, optionValue) {
      const given = args.map(([name, arg], index) => [name, arg.read(words[index])])
      const flags = options.map(([name, option]) => [name, option.read(optionValue(option.flags))])
      const ending = await spec.run(
        ctx,
        Object.fromEntries(given) as Values<A>,
        Object.fromEntries(flags) as Values<O>,
      )
      return typeof ending === 'string' ? ending : undefined
    },
  }
}

const text = (raw: unknown): string | undefined => (typeof raw === 'string' ? raw : undefined)
const list = (raw: unknown): string[] => (Array.isArray(raw) ? raw.map(String) : [])

export const required = (name: string, about: string): ArgumentSpec<string> => ({
  form: `<${name}>`,
  about,
  read: (raw) => text(raw) ?? '',
})
export const optional = (name: string, about: string): ArgumentSpec<string | undefined> => ({
  form: `[${name}]`,
  about,
  read: text,
})
export const several = (name: string, about: string): ArgumentSpec<string[]> => ({
  form: `<${name}...>`,
  about,
  read: list,
})

export const flag = (flags: string, about: string): OptionSpec<boolean> => ({
  flags,
  about,
  read: (raw) => raw === true,
})
/** For `--no-…`: true unless it was given. */
export const unless = (flags: string, about: string): OptionSpec<boolean> => ({
  flags,
  about,
  read: (raw) => raw !== false,
})
export const option = (flags: string, about: string): OptionSpec<string | undefined> => ({
  flags,
  about,
  read: text,
})
export const choice = <const C extends readonly string[]>(
  flags: string,
  about: string,
  choices: C,
): OptionSpec<C[number] | undefined> => ({
  flags,
  about,
  choices,
  read: (raw) => choices.find((one) => one === raw),
})
export const choicesOf = <const C extends readonly string[]>(
  flags: string,
  about: string,
  choices: C,
): OptionSpec<C[number][]> => ({
  flags,
  about,
  choices,
  repeatable: true,
  read: (raw) => choices.filter((one) => list(raw).includes(one)),
})
export const wholeNumber = (
  flags: string,
  about: string,
  { min, max }: { min: number; max: number },
): OptionSpec<number | undefined> => ({
  flags,
  about,
  read(raw) {
    const said = text(raw)
    if (said === undefined) return undefined
    const value = /^\d+$/.test(said) ? Number(said) : Number.NaN
    if (value >= min && value <= max) return value
    throw new Failure('usage', `${flags} takes a whole number from ${min} to ${max}, not '${said}'`, {
      fix: 'Correct the number.',
    })
  },
})

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Seconds from `90s`, `5m`, `2h`, `7d`, or a bare number of seconds. */
export function parseDuration(said: string): number | undefined {
  const [, amount, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(said) ?? []
  const factor = units[unit]
  return amount === undefined || factor === undefined ? undefined : Number(amount) * factor
}

export const duration = (flags: string, about: string): OptionSpec<number | undefined> => ({
  flags,
  about,
  read(raw) {
    const said = text(raw)
    if (said === undefined) return undefined
    const seconds = parseDuration(said)
    if (seconds !== undefined) return seconds
    throw new Failure('usage', `${flags} takes a duration such as 90s, 5m, 2h or 7d, not '${said}'`, {
      fix: 'Correct the duration.',
    })
  },
})
