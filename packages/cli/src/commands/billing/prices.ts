import { defineCommand } from '../../command.ts'
import { dollars } from '../../money.ts'
import { table } from '../../table.ts'

/** Hours of a month, on average. */
const MONTH_HOURS = 730n

export const prices = defineCommand({
  summary: 'Show what each size of machine costs',
  examples: ['agentctl billing prices', 'agentctl billing prices --json'],
  async run(ctx) {
    const found = await ctx.api('GET /v1/billing/prices', { token: null })
    const unit = (count: number | null, name: string) => (count === null ? '-' : `${count} ${name}`)
    ctx.out.result(found, ({ prices, graceDays }) => {
      const rows = prices.map((price) => [
        price.size,
        dollars(price.hourlyMicros),
        `about ${dollars(String(BigInt(price.hourlyMicros) * MONTH_HOURS))}`,
        price.vcpus === null ? '-' : String(price.vcpus),
        unit(price.memoryMegabytes === null ? null : price.memoryMegabytes / 1024, 'GB'),
        unit(price.diskGigabytes, 'GB'),
        unit(price.transferTerabytes, 'TB'),
      ])
      return (
        `${table(['size', 'an hour', 'a month', 'vcpu', 'memory', 'disk', 'transfer'], rows)}\n\n` +
        'Paid by the second, from the first time that a release is healthy.\n' +
        `Agents without credits are suspended; their snapshots are kept for ${graceDays} days.`
      )
    })
  },
})
