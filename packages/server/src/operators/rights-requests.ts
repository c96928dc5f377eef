import type { RightsRequest } from '@agentctl/contract/operators.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import * as store from './rights-request-store.ts'

/** Policy 7e: the shorter of the terms that the laws of our users set (Korea's ten days; GDPR's month). */
const DUE_SECONDS = 10 * 86_400
const LISTED = 200

/** Those that wait, the first due first; or all, the newest first. */
export async function listRequests(
  tx: Sql,
  all: boolean,
  now: Date,
): Promise<{ overdue: number; requests: RightsRequest[] }> {
  const rows = await (all ? store.listNewest(tx, LISTED) : store.listOpen(tx, LISTED))
  const { overdue } = await countOpenRequests(tx, now)
  return { overdue, requests: rows.map((row) => shown(row, now)) }
}

/** Policy 7e: those that wait for their answer, and those of them that should have had it. */
export function countOpenRequests(sql: Sql, now: Date): Promise<{ open: number; overdue: number }> {
  return store.countOpen(sql, now)
}

export async function noteRequest(
  tx: Sql,
  wanted: {
    kind: RightsRequest['kind']
    cameBy: RightsRequest['cameBy']
    account?: string | undefined
    receivedAt?: string | undefined
  },
  now: Date,
): Promise<RightsRequest> {
  const receivedAt = wanted.receivedAt === undefined ? now : new Date(wanted.receivedAt)
  if (receivedAt > now) throw new Problem('invalid_request', 'body.receivedAt: this has not been yet')
  const row = await store.insertRequest(tx, {
    id: newId('rrq'),
    kind: wanted.kind,
    cameBy: wanted.cameBy,
    account: wanted.account ?? null,
    receivedAt,
    dueAt: secondsAfter(receivedAt, DUE_SECONDS),
  })
  return shown(row, now)
}

export async function answerRequest(
  tx: Sql,
  answer: { id: string; outcome: 'done' | 'refused'; now: Date },
): Promise<RightsRequest> {
  const row = await store.setAnswered(tx, answer)
  if (!row)
    throw new Problem('not_found', 'There is no such request.', { fix: 'See: agentctl operator rights' })
  if (row.outcome !== answer.outcome) {
    throw new Problem('conflict', `This request was answered already: ${row.outcome}.`, {
      fix: 'See: agentctl operator rights --all',
    })
  }
  return shown(row, answer.now)
}

function shown(row: store.RightsRequestRow, now: Date): RightsRequest {
  return {
    ...row,
    receivedAt: row.receivedAt.toISOString(),
    dueAt: row.dueAt.toISOString(),
    isOverdue: row.answeredAt === null && row.dueAt < now,
    answeredAt: row.answeredAt?.toISOString() ?? null,
  }
}
