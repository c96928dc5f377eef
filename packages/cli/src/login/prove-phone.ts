import { createHash } from 'node:crypto'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { readLine } from '../standard-input.ts'

interface Challenge {
  challengeId: string
  expiresAt: string
}

const hashOf = (challengeId: string, phone: string) =>
  createHash('sha256')
    .update(`${challengeId}\n${phone.replace(/[^\d+]/g, '')}`)
    .digest('hex')

/** A code that was sent by an earlier run of this command, and is still good. */
function pendingChallenge(ctx: Context, phone: string | undefined): string | undefined {
  const pending = ctx.config().pending?.[ctx.address().url]
  if (!pending?.challengeId || Date.parse(pending.expiresAt) < Date.now()) return undefined
  if (phone !== undefined && pending.phoneHash !== hashOf(pending.challengeId, phone)) return undefined
  return pending.challengeId
}

/** Has a code sent and reads it back: from --code, a prompt, or a line on stdin. */
export async function provePhone(
  ctx: Context,
  flags: { phone: string | undefined; code: string | undefined },
  /** The command to go on with when nobody can be asked now. */
  again: string,
  send: (phone: string) => Promise<Challenge>,
): Promise<{ challengeId: string; code: string }> {
  if (flags.code !== undefined && !/^\d{4,10}$/.test(flags.code.trim())) {
    throw new Failure('usage', 'A code has 4 to 10 digits', { fix: 'Give it as it stands in the message.' })
  }
  const earlier = flags.code === undefined ? undefined : pendingChallenge(ctx, flags.phone)
  if (earlier !== undefined && flags.code !== undefined)
    return { challengeId: earlier, code: flags.code.trim() }
  const phone =
    flags.phone ?? (await ctx.prompt.text({ message: 'Phone number (+82…):', flag: '--phone NUMBER' }))
  if (!/^\+[\d ().-]{6,24}$/.test(phone.trim())) {
    throw new Failure('usage', 'A phone number is given in international form, such as +821012345678', {
      fix: 'Start it with + and the code of its country.',
    })
  }
  const { challengeId, expiresAt } = await send(phone.trim())
  await ctx.saveConfig((config) => {
    config.pending = {
      ...config.pending,
      [ctx.address().url]: { challengeId, expiresAt, phoneHash: hashOf(challengeId, phone) },
    }
  })
  ctx.onInterrupt(`The code stays good for some minutes: ${again} --code CODE`)
  ctx.out.note(`A code is on its way to ${'•'.repeat(4)}${phone.trim().slice(-2)}.`)
  const code = flags.code ?? (await askCode(ctx, again))
  return { challengeId, code: code.trim() }
}

async function askCode(ctx: Context, again: string): Promise<string> {
  const flag = '--code CODE'
  if (ctx.prompt.interactive) return ctx.prompt.text({ message: 'Code:', flag })
  const line = ctx.readsInput ? await readLine(ctx.signal) : undefined
  if (line !== undefined) return line
  throw new Failure('missing_answer', 'The code was sent, and nobody is here to type it', {
    fix: `Before it expires, run: ${again} --code CODE`,
    next: [`${again} --code CODE`],
  })
}
