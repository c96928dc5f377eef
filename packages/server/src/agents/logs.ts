import type { LogRecord } from '@agentctl/contract/agents.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import type { LogLine } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Caller, MachineCaller } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import type { Wakes } from '../platform/wakes.ts'
import { type AgentWanted, enterAgent } from './agents.ts'
import { LOG_LINES_PER_DAY } from './limits.ts'
import {
  countLogs,
  insertLogs,
  type LogPosition,
  type LogRow,
  logPosition,
  readLogsAfter,
  readLogTail,
} from './log-store.ts'

const TAIL_MAX = 10_000
const TAIL = 1000
const FOLLOW_AT_ONCE = 1000
/** A notification may be lost; a follower looks for itself this often. */
const FOLLOW_LOOK_MS = 15_000
/** A machine's clock that is further off than this is not believed. */
const CLOCK_SKEW_SECONDS = 300
const DAY_SECONDS = 86_400

/** Lines that an agent has stored today, as far as this process knows; counted anew for each day. */
export interface LogAllowance {
  day: number
  used: Map<string, { lines: number; countedAt: number }>
}

/** Other servers take lines of the same agent: what they have taken is looked up again after this long. */
const COUNT_AGAIN_MS = 60_000

/** Stores what the agent's processes wrote, up to the day's allowance. */
export async function storeLogs(
  { db, clock, allowance }: Pick<Deps, 'db' | 'clock'> & { allowance: LogAllowance },
  machine: MachineCaller,
  lines: readonly z.infer<typeof LogLine>[],
): Promise<void> {
  const last = lines.at(-1)
  if (!last) return
  const now = clock.now()
  const day = Math.floor(now.getTime() / (DAY_SECONDS * 1000))
  if (allowance.day !== day) {
    allowance.day = day
    allowance.used.clear()
  }
  const known = allowance.used.get(machine.agentId)
  const isFresh = known !== undefined && performance.now() - known.countedAt < COUNT_AGAIN_MS
  const countedAt = isFresh ? known.countedAt : performance.now()
  const used = isFresh
    ? known.lines
    : await countLogs(db.jobs, machine.agentId, new Date(day * DAY_SECONDS * 1000))
  const room = LOG_LINES_PER_DAY - used
  if (room <= 0) {
    allowance.used.set(machine.agentId, { lines: used, countedAt })
    return
  }
  // Retention goes by these times, so a machine cannot choose them: a clock that is far off is set to ours.
  const skewMs = now.getTime() - Date.parse(last.at)
  const shiftMs = Math.abs(skewMs) > CLOCK_SKEW_SECONDS * 1000 ? skewMs : 0
  const earliest = secondsAfter(now, -DAY_SECONDS).getTime()
  const latest = secondsAfter(now, CLOCK_SKEW_SECONDS).getTime()
  const kept = lines.slice(0, room).map((line) => ({
    sequence: line.sequence,
    at: new Date(Math.min(Math.max(Date.parse(line.at) + shiftMs, earliest), latest)),
    stream: line.stream,
    releaseId: line.releaseId,
    // PostgreSQL stores no NUL.
    line: line.text.replaceAll('\0', '\uFFFD'),
  }))
  const cut = lines[room - 1]
  const final = kept.at(-1)
  if (cut && final) {
    kept[kept.length - 1] = {
      ...final,
      stream: 'platform',
      line: `Log lines of today end here: an agent may write ${LOG_LINES_PER_DAY} a day.`,
    }
  }
  const stored = await insertLogs(db.jobs, machine, kept)
  allowance.used.set(machine.agentId, { lines: used + stored, countedAt })
}

interface LogsWanted extends AgentWanted {
  since: string | undefined
  tail: number | undefined
  grep: string | undefined
  follow: boolean
}

/** Log lines as NDJSON; whoever follows gets what is written from then on, until the agent or the reader goes. */
export async function readLogs(
  { db, wakes }: Pick<Deps, 'db'> & { wakes: Wakes },
  caller: Caller,
  wanted: LogsWanted,
  role: Role,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const as = { account: caller.accountId }
  const since = wanted.since === undefined ? undefined : new Date(wanted.since)
  const tail = Math.min(wanted.tail ?? (since ? TAIL_MAX : TAIL), TAIL_MAX)
  // Before the first look, so that nothing written in between is missed.
  const { agent, position, rows } = await db.as(as, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    const position = await logPosition(tx, agent.id)
    const rows = await readLogTail(tx, agent.id, { since, tail, grep: wanted.grep })
    return { agent, position, rows: rows.filter((row) => isWithin(row, position)) }
  })
  return (async function* () {
    if (rows.length > 0) yield encoded(rows)
    if (!wanted.follow) return
    const wake = wakes.of(agent.id)
    try {
      let reached = position
      while (!signal.aborted) {
        const { more } = await db.as(as, async (tx) => {
          // Membership is looked at anew each time: who is no longer allowed to read stops reading.
          await enterAgent(tx, caller, { agent: agent.id, namespace: undefined }, role)
          return { more: await readLogsAfter(tx, agent.id, reached, FOLLOW_AT_ONCE) }
        })
        reached = furthered(reached, more)
        const shown = more.filter((row) => matches(row, wanted.grep))
        if (shown.length > 0) yield encoded(shown)
        if (more.length === 0) await wake.next(FOLLOW_LOOK_MS, signal)
      }
    } catch (error) {
      // The agent was deleted, or is none of the reader's any more: the lines end here.
      if (!(error instanceof Problem)) throw error
    } finally {
      wake.close()
    }
  })()
}

function isWithin(row: LogRow, position: LogPosition): boolean {
  return BigInt(row.sequence) <= BigInt(position[row.machineId] ?? -1)
}

function furthered(position: LogPosition, rows: readonly LogRow[]): LogPosition {
  const next = { ...position }
  for (const { machineId, sequence } of rows) {
    if (BigInt(sequence) > BigInt(next[machineId] ?? -1)) next[machineId] = sequence
  }
  return next
}

function matches(row: LogRow, grep: string | undefined): boolean {
  return grep === undefined || row.line.toLowerCase().includes(grep.toLowerCase())
}

const encoder = new TextEncoder()

function encoded(rows: readonly LogRow[]): Uint8Array {
  const records = rows.map(
    (row): LogRecord => ({
      at: row.at.toISOString(),
      stream: row.stream,
      release: row.release,
      text: row.line,
    }),
  )
  return encoder.encode(records.map((record) => `${JSON.stringify(record)}\n`).join(''))
}
