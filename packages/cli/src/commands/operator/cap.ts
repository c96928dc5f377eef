import { defineCommand, flag, option, required, wholeNumber } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { parseDollars } from '../../money.ts'
import { describeAccount } from '../../operator/account-view.ts'
import { operatorToken } from '../../operator/operator-api.ts'
import { reasonFor, reasonOption } from '../../operator/reason.ts'

export const cap = defineCommand({
  summary: 'Bound what an account may run and spend',
  details:
    'What is not named is not bounded any more; --none takes every bound away. At the bound of a month agents are ' +
    'stopped with their files; the others refuse what is new.',
  args: { account: required('account', 'acc_…, as agentctl operator find shows it') },
  options: {
    machines: wholeNumber('--machines <number>', 'machines at a time', { min: 0, max: 1000 }),
    hourly: option('--hourly <dollars>', 'what all agents together may cost an hour'),
    monthly: option('--monthly <dollars>', 'what may be spent in a calendar month'),
    none: flag('--none', 'no bounds any more'),
    reason: reasonOption,
  },
  examples: [
    `agentctl operator cap acc_4k2x9wq7m1z8c5v3b6n0 --machines 2 --monthly 50 --reason 'Payments are in dispute.'`,
    `agentctl operator cap acc_4k2x9wq7m1z8c5v3b6n0 --none --reason 'Settled.'`,
  ],
  async run(ctx, { account }, { machines, hourly, monthly, none, reason }) {
    const some = machines !== undefined || hourly !== undefined || monthly !== undefined
    if (some === none) {
      throw new Failure('usage', 'Name bounds, or --none', { fix: 'Give --machines, --hourly or --monthly.' })
    }
    const capped = await ctx.api('POST /v1/operator/accounts/:account/caps', {
      ...operatorToken(ctx),
      params: { account },
      repeatable: true,
      body: {
        machinesMax: machines ?? null,
        hourlyMaxMicros: hourly === undefined ? null : parseDollars(hourly, '--hourly'),
        monthlyMaxMicros: monthly === undefined ? null : parseDollars(monthly, '--monthly'),
        reason: await reasonFor(ctx, reason),
      },
    })
    ctx.out.result(capped, describeAccount)
  },
})
