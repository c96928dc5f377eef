import type { Agent } from '@agentctl/contract/agents.ts'
import { defineCommand, required } from '../../command.ts'
import { shownName } from '../../domains/domain-text.ts'
import { dollars } from '../../money.ts'
import { pairs } from '../../table.ts'
import { relative } from '../../times.ts'

export const show = defineCommand({
  summary: 'Show an agent: its address, status and release',
  args: { agent: required('name', 'name or id of the agent') },
  examples: ['agentctl agents show hello', 'agentctl agents show hello --json'],
  async run(ctx, { agent }) {
    const found = await ctx.api('GET /v1/agents/:agent', {
      params: { agent },
      query: { namespace: ctx.namespace() },
    })
    const now = new Date()
    const at = (time: string | null) => time && `${relative(time, now)} (${time})`
    ctx.out.result(
      found,
      (
        { id, name, namespace, url, status, step, size, region, release, domains, transfer, ...times },
        width,
      ) =>
        pairs(
          [
            ['name', name],
            ['namespace', namespace],
            ['url', url],
            ['status', step === null ? status : `${status}: ${step}`],
            ['release', release ? `${release.number} (${release.id})` : 'none serves'],
            ['size', `${size} in ${region}`],
            ['transfer', transfer && transferText(transfer)],
            ...domains.map((domain): [string, string] => [
              'domain',
              `${shownName(domain.hostname)}: ${domain.status}`,
            ]),
            ['suspends', at(times.suspendsAt)],
            [
              isGone(times.snapshotDeletedAt, now) ? 'snapshot went' : 'snapshot goes',
              at(times.snapshotDeletedAt),
            ],
            ['id', id],
          ],
          width,
        ),
    )
  },
})

const GB = 1_000_000_000

/** Rounded down to whole GB. */
function transferText({
  month,
  sentBytes,
  includedBytes,
  overageMicros,
}: NonNullable<Agent['transfer']>): string {
  const whole = (bytes: number): string => `${Math.floor(bytes / GB)} GB`
  const text = `${whole(sentBytes)} sent in ${month}, of ${whole(includedBytes)} that the size includes`
  return overageMicros === '0'
    ? text
    : `${text}; what is beyond costs ${dollars(overageMicros)}, which is not charged`
}

const isGone = (deletedAt: string | null, now: Date): boolean =>
  deletedAt !== null && Date.parse(deletedAt) <= now.getTime()
