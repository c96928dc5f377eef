import { leaveCredits } from './card-journey.ts'
import type { Operation, Subject } from './journey.ts'
import type { World } from './world.ts'

const DOLLAR = 1_000_000n
const HOUR_SECONDS = 3600
const DAY_SECONDS = 86_400
/** No hour of it is a whole micro-USD in each second, so that rounding shows. */
const ODD_RATE = 10_007n

/** What burns credits, by the clock: charges, warnings on the way down, limits, the end, and what the books show. */
export const meterOperations: Operation[] = [
  {
    name: 'metering',
    optional: true,
    async run(world, subject) {
      await burn(world, subject, ODD_RATE)
      for (const seconds of [700, 1301, 4003]) {
        await world.advance(seconds)
        await world.visit('charge-meters')
      }
      await burn(world, subject, 3n * ODD_RATE)
      await world.advance(607)
      await burn(world, subject, 0n)
      await world.advance(601)
      await world.visit('charge-meters')
    },
    check: checkCharged,
  },
  {
    name: 'credits that run down',
    optional: true,
    async run(world, subject) {
      await leaveCredits(world, 80n * DOLLAR)
      const since = world.now()
      await burn(world, subject, DOLLAR)
      for (const hours of [9, 48, 22.3]) {
        await world.advance(hours * HOUR_SECONDS)
        await world.visit('watch-credits')
        // Some time later nothing new is to be said.
        await world.advance(60)
        await world.visit('watch-credits')
      }
      await world.advance(HOUR_SECONDS)
      await world.visit('charge-meters')
      await world.visit('watch-credits')
      await burn(world, subject, 0n)
      await expectNotices(world, since, ['runway_72h', 'runway_24h', 'runway_1h'])
      await leaveCredits(world, 1000n * DOLLAR)
      await world.visit('watch-credits')
    },
    check: async ({ sql }) => {
      const depleted = await sql`
        select 1 from ledger_balances where depleted_at is not null
        union all select 1 from spend_warnings where about = 'runway'`
      return depleted.length === 0 ? [] : ['the account still counts as one without credits']
    },
  },
  {
    name: 'limits',
    optional: true,
    async run(world, subject) {
      // So much that no runway is short.
      await leaveCredits(world, 100_000n * DOLLAR)
      await untilMiddleOfMonth(world)
      const since = world.now()
      const limit = async (hourly: bigint | null, monthly: bigint | null): Promise<void> => {
        const text = (micros: bigint | null) => (micros === null ? null : String(micros))
        await world.api.call('PATCH', '/v1/billing/limits', {
          body: {
            softHourlyMicros: text(hourly),
            softMonthlyMicros: text(monthly),
            hardMonthlyMicros: text(monthly && 2n * monthly),
          },
        })
      }
      const spent = await spentThisMonth(world)
      await limit(DOLLAR / 2n, spent + 5n * DOLLAR)
      await burn(world, subject, 40n * DOLLAR)
      await world.advance(60)
      await world.visit('watch-credits')
      await expectNotices(world, since, ['soft_hourly'])
      // Forty dollars an hour, until twice that much and a bit is spent.
      await world.advance(Number(spent / DOLLAR + 20n) * 100)
      await world.visit('watch-credits')
      await world.advance(60)
      await world.visit('watch-credits')
      await expectNotices(world, since, ['hard_monthly', 'soft_hourly', 'soft_monthly'])
      await burn(world, subject, 0n)
      await limit(null, null)
      await world.advance(60)
      await world.visit('watch-credits')
    },
    check: async ({ sql }) => {
      const left = await sql<{ about: string }[]>`select about from spend_warnings`
      return left.map(({ about }) => `the warning about ${about} is still there`)
    },
  },
  {
    name: 'reading the books',
    optional: true,
    async run(world) {
      for (const path of ['balance', 'history?limit=5', 'ledger', 'usage', 'limits', 'deposits']) {
        await world.api.call('GET', `/v1/billing/${path}`)
      }
    },
    check: async () => [],
  },
]

export function endBurning(world: World, subject: Subject): Promise<void> {
  return burn(world, subject, 0n)
}

/** From now on something of this run costs this; zero: nothing. As the report of a runner sets it. */
async function burn({ sql, now }: World, { name }: Subject, rateMicros: bigint): Promise<void> {
  await sql`
    select meter_set(${`crash:${name}`}, ledger_account_id, null, ${rateMicros}, ${now()}) from ledger_balances`
}

/** What it cost is the sum over its intervals, rounded once. */
async function checkCharged({ sql }: World, { name }: Subject): Promise<string[]> {
  const intervals = await sql<{ rate: bigint; seconds: bigint }[]>`
    select rate_micros as rate, extract(epoch from to_at - from_at)::bigint as seconds from meters
    where subject = ${`crash:${name}`}`
  return intervals.length === 2 ? [] : [`there are ${intervals.length} intervals instead of 2`]
}

const hoursBetween = (one: Date, other: Date): string =>
  ((other.getTime() - one.getTime()) / 3_600_000).toFixed(2)

/** Each once, in any order. */
async function expectNotices({ sql }: World, since: Date, expected: string[]): Promise<void> {
  const rows = await sql<{ kind: string; createdAt: Date }[]>`
    select kind, created_at as "createdAt" from notices where created_at >= ${since} order by created_at`
  const found = rows.map(({ kind }) => kind).sort()
  if (found.join() === [...expected].sort().join()) return
  const came = rows.map(({ kind, createdAt }) => `${kind} after ${hoursBetween(since, createdAt)} h`)
  const burnt = await sql<{ subject: string; hours: number; rate: bigint }[]>`
    select subject, rate_micros as rate, round(extract(epoch from to_at - from_at) / 3600, 2)::float8 as hours
    from meters where coalesce(to_at, 'infinity') >= ${since} and rate_micros > 0`
  throw new Error(
    `The notices are ${came.join(', ')}, not ${expected.join()}; ${burnt.map(({ subject, rate, hours }) => `${subject} burnt ${rate} an hour for ${hours} h`).join(', ')}.`,
  )
}

/** What was spent counts from the first of the month on. */
export async function untilMiddleOfMonth(world: World): Promise<void> {
  const day = world.now().getUTCDate()
  if (day < 3 || day > 20) await world.advance((day < 3 ? 3 : 36 - day) * DAY_SECONDS)
}

export async function spentThisMonth(world: World): Promise<bigint> {
  const { totalMicros } = await world.api.call<{ totalMicros: string }>('GET', '/v1/billing/usage')
  return BigInt(totalMicros)
}
