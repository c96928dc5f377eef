import { dollars } from '../billing/limits.ts'
import type { Deps } from '../deps.ts'
import { notify } from '../identity/notices.ts'
import { startOfMonth } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Lease, Operation, Outcome } from '../platform/operations.ts'
import { findAgentById } from './store.ts'
import { GB, OVERAGE_MICROS_PER_GB } from './transfer.ts'
import {
  listSending,
  listTransfers,
  putTransfer,
  putTransferWarning,
  type TransferRow,
} from './transfer-store.ts'

/** The provider counts now and then; nobody has to know to the minute. */
const LOOK_SECONDS = 3600
const WARNINGS_PERCENT = [80, 100] as const

/** Asks what each machine has sent in this month, and tells its people when it is most or all of what is included. */
export async function visitTransfer(
  { db, clock, machines }: Pick<Deps, 'db' | 'clock' | 'machines'>,
  _operation: Operation,
  lease: Lease,
): Promise<Outcome> {
  const now = clock.now()
  const month = startOfMonth(now)
  const sending = await listSending(db.jobs)
  const included = new Map((await machines.listOurs()).map((one) => [one.id, one.includedGigabytes]))
  for (const { providerId, ...machine } of sending) {
    const gigabytes = included.get(providerId)
    // None is told of one that went in this moment, or whose plan has no bound.
    if (!gigabytes) continue
    const days = await machines.sentByDay(providerId)
    const sentBytes = [...days]
      .filter(([day]) => day.startsWith(month.toISOString().slice(0, 7)))
      .reduce((sum, [, bytes]) => sum + bytes, 0n)
    await lease.write(async (tx) => {
      await putTransfer(tx, { ...machine, month, sentBytes, includedBytes: BigInt(gigabytes) * GB, now })
      await warn(tx, { agentId: machine.agentId, month, now })
    })
  }
  return { state: 'again', afterSeconds: LOOK_SECONDS }
}

async function warn(tx: Sql, about: { agentId: string; month: Date; now: Date }): Promise<void> {
  const { agentId, month, now } = about
  const [sent] = await listTransfers(tx, month, [agentId])
  const agent = await findAgentById(tx, agentId)
  if (!sent || !agent) return
  const passed = WARNINGS_PERCENT.filter(
    (percent) => sent.sentBytes * 100n >= sent.includedBytes * BigInt(percent),
  )
  const fresh: number[] = []
  for (const percent of passed) {
    if (await putTransferWarning(tx, { agentId, month, percent })) fresh.push(percent)
  }
  // Of two at once the higher one says everything.
  const percent = fresh.at(-1)
  if (percent === undefined) return
  await notify(tx, {
    accountId: agent.ownerAccountId,
    kind: `transfer_${percent}`,
    message: messageOf(agent.name, percent, sent),
    next: `agentctl agents show ${agent.name}`,
    now,
  })
}

const gigabytes = (bytes: bigint): string => `${bytes / GB} GB`

function messageOf(name: string, percent: number, sent: TransferRow): string {
  const included = gigabytes(sent.includedBytes)
  const price = `Each further GB costs ${dollars(OVERAGE_MICROS_PER_GB)} at the provider; that is not charged to you, and the agent goes on.`
  return percent === 100
    ? `${name} has sent ${gigabytes(sent.sentBytes)} this month, all of the ${included} that its size includes. ${price}`
    : `${name} has sent ${gigabytes(sent.sentBytes)} this month, ${percent} % of the ${included} that its size includes.`
}
