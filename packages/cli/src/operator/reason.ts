import { option } from '../command.ts'
import type { Context } from '../context.ts'

export const reasonOption = option('--reason <text>', 'why, as the account is told; it stays in the log')

/** The reason of an act: as it was given, else asked for. */
export async function reasonFor(ctx: Context, given: string | undefined): Promise<string> {
  return given ?? (await ctx.prompt.text({ message: 'Why, as the account is told:', flag: '--reason' }))
}
