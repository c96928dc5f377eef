import { countOpenRequests } from '../../operators/rights-requests.ts'
import { secondsAfter } from '../../platform/clock.ts'
import { DAY_SECONDS, periodNames, REQUEST_DAYS_ALARM, retention } from '../../platform/retention.ts'
import type { Check, Checks, EvidenceDeps } from './check.ts'
import {
  findEarliestPurge,
  type Kept,
  listOrphans,
  lookAtConfigurations,
  lookAtPeriod,
  lookAtRequestLog,
  lookAtRetained,
  lookAtSnapshots,
  mayDo,
} from './store.ts'

/** The work that deletes comes by every ten minutes; what is due for so long shows that it does not. */
const TOLERANCE_SECONDS = 3600
/** The work that destroys records of erased accounts comes by every hour. */
const DESTRUCTION_TOLERANCE_SECONDS = 3 * 3600

const timeOf = (at: Date | null): string | null => at?.toISOString() ?? null
const earliest = (times: readonly (Date | null)[]): Date | null =>
  times.reduce((first, at) => (first === null || (at !== null && at < first) ? at : first), null)
const latest = (times: readonly (Date | null)[]): Date | null =>
  times.reduce((last, at) => (last === null || (at !== null && at > last) ? at : last), null)

/** Every period of the retention table that cites the sentence. */
const periodsOf =
  (sentence: string): Check =>
  async ({ db, clock }) => {
    const dueBefore = secondsAfter(clock.now(), -TOLERANCE_SECONDS)
    const names = periodNames.filter((name) => retention[name].sentence === sentence)
    const kept: Kept[] = []
    for (const name of names) kept.push(await lookAtPeriod(db.jobs, name, dueBefore))
    const sum = (of: (one: Kept) => number): number => kept.reduce((total, one) => total + of(one), 0)
    const late = names.filter((_, at) => (kept[at]?.overdue ?? 0) > 0)
    return {
      holds: names.length > 0 && late.length === 0,
      evidence: {
        tables: [...new Set(names.map((name) => retention[name].table))].join(', '),
        rows: sum(({ rows }) => rows),
        overdueRows: sum(({ overdue }) => overdue),
        overdueIn: late.map((name) => retention[name].table).join(', '),
        oldestRow: timeOf(earliest(kept.map(({ oldest }) => oldest))),
        lastRun: timeOf(earliest(kept.map(({ lastRun }) => lastRun))),
        lastPurge: timeOf(latest(kept.map(({ lastPurge }) => lastPurge))),
        purgedRows: sum(({ purged }) => purged),
      },
    }
  }

async function requestDays({ db, clock }: EvidenceDeps) {
  const { days, rows, oldestDay, lastRun, lastPurge } = await lookAtRequestLog(db.jobs)
  const alarm = secondsAfter(clock.now(), -REQUEST_DAYS_ALARM * DAY_SECONDS)
  return {
    holds: oldestDay === null || oldestDay > alarm,
    evidence: {
      days,
      rows,
      oldestDay: timeOf(oldestDay),
      lastRun: timeOf(lastRun),
      lastPurge: timeOf(lastPurge),
    },
  }
}

async function accountData({ db }: EvidenceDeps) {
  const columns = await listOrphans(db.jobs)
  const orphaned = columns.filter(({ orphans }) => orphans > 0)
  return {
    holds: columns.length > 0 && orphaned.length === 0,
    evidence: {
      columnsThatNameAnAccount: columns.length,
      rowsOfAccountsThatAreGone: orphaned.map(({ source, orphans }) => `${source}: ${orphans}`).join(', '),
    },
  }
}

async function snapshots({ db, clock, config }: EvidenceDeps) {
  const { kept, overdue, nextEnd } = await lookAtSnapshots(
    db.jobs,
    secondsAfter(clock.now(), -TOLERANCE_SECONDS),
  )
  return {
    holds: overdue === 0,
    evidence: {
      graceDays: config.graceDays,
      snapshotsOfSuspendedAgents: kept,
      overdue,
      nextEnd: timeOf(nextEnd),
    },
  }
}

async function configurations({ db }: EvidenceDeps) {
  const { agents, withoutRelease, withoutFiles } = await lookAtConfigurations(db.jobs)
  return {
    holds: withoutRelease === 0 && withoutFiles === 0,
    evidence: { agents, withoutTheirConfiguration: withoutRelease, withoutTheirFiles: withoutFiles },
  }
}

async function rightsRequests(deps: EvidenceDeps) {
  const { holds, evidence } = await periodsOf('7e')(deps)
  const { open, overdue } = await countOpenRequests(deps.db.jobs, deps.clock.now())
  return { holds: holds && overdue === 0, evidence: { ...evidence, open, unansweredInTime: overdue } }
}

/** Whether the work that deletes comes by at all, whatever there is to delete. */
async function destruction({ db, clock }: EvidenceDeps) {
  const names = periodNames.filter((name) => !('ownWork' in retention[name]))
  const earliestRun = await findEarliestPurge(db.jobs, names)
  const holds = earliestRun === null || earliestRun >= secondsAfter(clock.now(), -TOLERANCE_SECONDS)
  return { holds, evidence: { periods: names.length, earliestRun: timeOf(earliestRun) } }
}

const BOOKS = ['ledger_transactions', 'ledger_entries', 'payments', 'deposits', 'checkouts']

async function billingRecords({ db, clock }: EvidenceDeps) {
  const deletable: string[] = []
  for (const role of ['agentctl_app', 'agentctl_jobs', 'agentctl_operator']) {
    for (const table of BOOKS) {
      if (await mayDo(db.jobs, role, table, 'delete')) deletable.push(`${role}: ${table}`)
    }
  }
  const { overdue, nextEnd } = await lookAtRetained(
    db.jobs,
    secondsAfter(clock.now(), -DESTRUCTION_TOLERANCE_SECONDS),
  )
  return {
    holds: deletable.length === 0 && overdue === 0,
    evidence: {
      tables: BOOKS.join(', '),
      whoMayDelete: deletable.join(', '),
      keptBeyondTheirEnd: overdue,
      nextEnd: timeOf(nextEnd),
    },
  }
}

export const retentionChecks: Checks = {
  '6a': accountData,
  '6b': snapshots,
  '6c': configurations,
  '6d': billingRecords,
  '6e': requestDays,
  ...Object.fromEntries(
    [...new Set(periodNames.map((name) => retention[name].sentence))]
      .filter((sentence) => sentence !== '6e')
      .map((sentence) => [sentence, periodsOf(sentence)]),
  ),
  '6r': destruction,
  '7e': rightsRequests,
}
