import { randomBytes, randomInt } from 'node:crypto'
import type { ErasurePlan } from '@agentctl/contract/privacy.ts'
import { describeErasure, describePlan } from '../../account/erasure-text.ts'
import { type ErasureWish, lookAtErasure, waitForErasure } from '../../account/pending-erasure.ts'
import { defineCommand, duration, flag, unless } from '../../command.ts'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'

const WAIT_SECONDS = 600

export const remove = defineCommand({
  summary: 'Delete your account, with everything in it',
  details:
    'Domains, machines, snapshots, files, keys, sessions and namespaces of your own go. Billing records are kept apart, ' +
    'without your account, for as long as the law asks. --plan shows all of it and changes nothing. Needs a proof that it ' +
    'is you, not older than ten minutes.',
  options: {
    plan: flag('--plan', 'show what goes, what is kept and why; change nothing'),
    forfeit: flag('--forfeit', 'credits that are left are lost'),
    yes: flag('-y, --yes', 'do not ask'),
    wait: unless('--no-wait', 'do not wait until everything is gone'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 10m)'),
  },
  examples: [
    'agentctl account delete --plan',
    'agentctl account delete',
    'agentctl account delete --yes --forfeit --json > receipt.json',
  ],
  async run(ctx, _, { plan: planOnly, forfeit, yes, wait, timeout }) {
    const plan = await ctx.api('GET /v1/account/erasure-plan')
    if (planOnly) {
      ctx.out.result(plan, describePlan)
      return
    }
    refuseBlocked(plan)
    if (!yes) ctx.out.notice(describePlan(plan))
    const isForfeited = await agreeToLoss(ctx, plan, forfeit)
    await ctx.prompt.insist({
      message: `Delete the account ${plan.account.id} and all of this, for good?`,
      yes,
      instead: 'Nothing was deleted',
    })
    const wish = newWish()
    await begin(ctx, wish, isForfeited)
    ctx.onInterrupt('The account is closed, and goes on being deleted: agentctl account receipt')
    ctx.out.note(`The account is closed. Its receipt, from this machine: agentctl account receipt`)
    const erasure = wait
      ? await waitForErasure(ctx, wish, timeout ?? WAIT_SECONDS)
      : await lookAtErasure(ctx, wish)
    ctx.out.result(erasure, describeErasure)
    if (erasure.status === 'done')
      ctx.out.note(`Its receipt, from elsewhere: agentctl account receipt ${wish.id} --token ${wish.token}`)
  },
})

function refuseBlocked(plan: ErasurePlan): void {
  const [first, ...others] = plan.blockers
  if (!first) return
  const more = others.length === 0 ? '' : ` And ${others.length} more: agentctl account delete --plan`
  throw new Failure('erasure_blocked', first.message, { fix: `${first.fix}${more}`, document: plan })
}

/** Nothing is lost silently: whoever has credits left says that they may be. */
async function agreeToLoss(ctx: Context, { credits }: ErasurePlan, forfeit: boolean): Promise<boolean> {
  if (credits.leftMicros === '0' || forfeit) return forfeit
  const left = dollars(credits.leftMicros)
  if (ctx.prompt.interactive) {
    const message = `${left} of credits would be lost. Give them up?`
    if (await ctx.prompt.confirm({ message, flag: '--forfeit' })) return true
    throw new Failure('interrupted', 'Nothing was deleted')
  }
  throw new Failure('credits_left', `${left} of credits are left, and would be lost with the account`, {
    next: ['agentctl account delete --forfeit'],
  })
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz'

function newWish(): ErasureWish {
  const id = Array.from({ length: 20 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
  return { id: `era_${id}`, token: randomBytes(32).toString('hex') }
}

/**
 * Written down before it is asked for: the answer may be lost, and after it nobody is logged in who could ask again.
 */
async function begin(ctx: Context, wish: ErasureWish, forfeit: boolean): Promise<void> {
  const { url } = ctx.address()
  await ctx.saveConfig((config) => {
    config.erasures = { ...config.erasures, [url]: wish }
  })
  try {
    await ctx.api('POST /v1/account/erasure', {
      body: { ...wish, ...(forfeit ? { forfeit } : {}) },
      repeatable: true,
    })
  } catch (error) {
    const isOpen =
      error instanceof Failure &&
      ['unauthenticated', 'network', 'unavailable', 'internal'].includes(error.code)
    // It may have begun all the same: then its session is over, and the receipt knows.
    if (!isOpen || !(await lookAtErasure(ctx, wish).catch(() => undefined))) throw error
  }
  await ctx.saveConfig((config) => {
    delete config.logins?.[url]
  })
}
