import type { Deps } from '../deps.ts'
import { isPumped, sentWithinDay } from '../identity/sms-counts.ts'
import type { Metrics, Reading } from '../platform/metrics.ts'
import { countWork } from '../platform/operation-counts.ts'
import { countOpenRequests } from './rights-requests.ts'
import {
  countMachinesElsewhere,
  countStates,
  countWrongLedgers,
  findMoments,
  listCursors,
  listPurges,
} from './state-store.ts'

type Parts = Pick<Deps, 'db' | 'clock' | 'config' | 'transfers'>

const FRESH_MS = 15_000
/** It looks at every ledger account. */
const LEDGER_FRESH_MS = 600_000

/** The state of the service as the database has it. Every worker tells the same, so that one of them is enough. */
export function showState(deps: Parts, metrics: Metrics): void {
  const { db, clock } = deps
  metrics.gauge(kept(FRESH_MS, () => readWork(deps)))
  metrics.gauge(kept(FRESH_MS, () => readStates(deps)))
  metrics.gauge(kept(FRESH_MS, () => readMoments(deps)))
  metrics.gauge(kept(FRESH_MS, () => readSms(deps)))
  metrics.gauge(kept(FRESH_MS, () => readChains(deps)))
  metrics.gauge(
    kept(FRESH_MS, async () => {
      const { open, overdue } = await countOpenRequests(db.jobs, clock.now())
      return [
        one('agentctl_rights_requests_open', 'Requests about personal data that wait for an answer.', open),
        one('agentctl_rights_requests_overdue', 'Those that should have had one.', overdue),
      ]
    }),
  )
  metrics.gauge(
    kept(FRESH_MS, async () => [
      one(
        'agentctl_machines_elsewhere',
        'Machines of ours that the provider lists in another region than Seoul.',
        await countMachinesElsewhere(db.jobs),
      ),
    ]),
  )
  metrics.gauge(
    kept(LEDGER_FRESH_MS, async () => [
      one(
        'agentctl_ledger_accounts_wrong',
        'Ledger accounts whose balance is not what their entries say.',
        await countWrongLedgers(db.jobs),
      ),
    ]),
  )
}

const one = (name: string, help: string, value: number): Reading => ({ name, help, samples: [{ value }] })

/** Looks again when the last look is older than that; those who ask meanwhile share one look. */
function kept(freshMs: number, read: () => Promise<readonly Reading[]>): () => Promise<readonly Reading[]> {
  let last: { at: number; readings: Promise<readonly Reading[]> } | undefined
  return () => {
    if (!last || performance.now() - last.at > freshMs) {
      const readings = read()
      last = { at: performance.now(), readings }
      // What failed is not kept.
      readings.catch(() => {
        last = undefined
      })
    }
    return last.readings
  }
}

async function readWork({ db }: Parts): Promise<Reading[]> {
  const kinds = await countWork(db.jobs)
  const by = (of: (kind: (typeof kinds)[number]) => number) =>
    kinds.map((kind) => ({ labels: { kind: kind.kind }, value: of(kind) }))
  return [
    { name: 'agentctl_operations_pending', help: 'Durable work to be done.', samples: by((k) => k.pending) },
    {
      name: 'agentctl_operations_late_seconds',
      help: 'How long the work that has waited longest beyond its time waits, with nobody at it.',
      samples: by((k) => k.lateSeconds),
    },
    {
      name: 'agentctl_operations_attempts',
      help: 'Visits in a row that did not get on, at most of any work of the kind.',
      samples: by((k) => k.attempts),
    },
  ]
}

const STATES: Readonly<Record<string, { name: string; help: string; label: string }>> = {
  agents: { name: 'agentctl_agents', help: 'Agents by status.', label: 'status' },
  machines: { name: 'agentctl_machines', help: 'Machines of agents by state.', label: 'state' },
  warm_machines: { name: 'agentctl_warm_machines', help: 'Blank machines that wait.', label: 'state' },
  snapshots: { name: 'agentctl_snapshots', help: 'Snapshots by state.', label: 'state' },
  domains: { name: 'agentctl_domains', help: 'Domains of customers; live ones have TLS.', label: 'status' },
  orphans: { name: 'agentctl_orphans', help: 'What no row owns, at a provider.', label: 'kind' },
  payments: { name: 'agentctl_payments', help: 'Payments that were seen on chains.', label: 'state' },
  deposits: { name: 'agentctl_deposits', help: 'Deposits by status.', label: 'status' },
  notices: { name: 'agentctl_notices', help: 'Messages that nobody has read yet.', label: 'state' },
}

async function readStates({ db }: Parts): Promise<Reading[]> {
  const counted = await countStates(db.jobs)
  return Object.entries(STATES).map(([what, { name, help, label }]) => ({
    name,
    help,
    samples: counted
      .filter((row) => row.what === what)
      .map(({ state, count }) => ({ labels: { [label]: state }, value: count })),
  }))
}

async function readMoments({ db, clock }: Parts): Promise<Reading[]> {
  const now = clock.now().getTime()
  const age = (at: Date): number => Math.max(0, (now - at.getTime()) / 1000)
  const { meteredUpto, oldestRequestDay, oldestDeposit } = await findMoments(db.jobs)
  const purges = await listPurges(db.jobs)
  const since = (name: string, help: string, at: Date | null): Reading => ({
    name,
    help,
    samples: at ? [{ value: age(at) }] : [],
  })
  return [
    since('agentctl_meter_age_seconds', 'Age of the moment up to which use has been charged.', meteredUpto),
    since('agentctl_request_log_age_seconds', 'Age of the oldest day of the request log.', oldestRequestDay),
    since(
      'agentctl_deposit_age_seconds',
      'Age of the oldest deposit that is seen and not credited.',
      oldestDeposit,
    ),
    {
      name: 'agentctl_purge_age_seconds',
      help: 'How long ago what has had its time was last deleted.',
      samples: purges.map(({ name, ranAt }) => ({ labels: { period: name }, value: age(ranAt) })),
    },
  ]
}

async function readSms({ db, clock, config }: Parts): Promise<Reading[]> {
  const now = clock.now()
  const pumped: { labels: { country: string }; value: number }[] = []
  for (const country of config.phoneCountries) {
    pumped.push({ labels: { country }, value: (await isPumped(db.jobs, country, now)) ? 1 : 0 })
  }
  const sent = await sentWithinDay(db.jobs, now)
  return [
    one('agentctl_sms_sent_day', 'Codes that were sent within a day.', sent),
    one('agentctl_sms_budget_day', 'How many may be.', config.smsDailyBudget),
    {
      name: 'agentctl_sms_breaker_open',
      help: '1 while no codes are sent to a country, because next to nobody types them in.',
      samples: pumped,
    },
  ]
}

async function readChains({ db, transfers }: Parts): Promise<Reading[]> {
  const cursors = new Map((await listCursors(db.jobs)).map((row) => [row.chainId, row.nextBlock]))
  const samples: { labels: { chain: string }; value: number }[] = []
  for (const one of transfers) {
    const next = cursors.get(one.chain.chainId)
    if (next === undefined) continue
    const { latest } = await one.heads()
    samples.push({ labels: { chain: one.chain.name }, value: Math.max(0, Number(latest.number + 1n - next)) })
  }
  return [
    {
      name: 'agentctl_scanner_lag_blocks',
      help: 'Blocks that nobody has looked into for payments.',
      samples,
    },
  ]
}
