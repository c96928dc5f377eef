import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import * as store from './store.ts'

export interface Act<T> {
  operator: string
  /** The endpoint's id. */
  act: string
  /** What it is about: ids only. Where only the answer tells, it is taken from there. */
  subject: string | ((answer: T) => string)
  /** For what changes something: why. */
  reason?: string | undefined
}

/**
 * One transaction of what an operator asks for, together with its entry in the log: nothing is done or shown without
 * one. What is refused is entered as well.
 */
export async function enact<T>(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  { operator, act, subject, reason }: Act<T>,
  run: (tx: Sql, now: Date) => Promise<T>,
): Promise<T> {
  const now = clock.now()
  try {
    return await db.operate(async (tx) => {
      const answer = await run(tx, now)
      const about = typeof subject === 'string' ? subject : subject(answer)
      await store.insertAct(tx, {
        id: newId('opa'),
        operator,
        act,
        subject: idsOf(about),
        outcome: 'done',
        reason: reason ?? null,
        at: now,
      })
      return answer
    })
  } catch (error) {
    const about = typeof subject === 'string' ? subject : ''
    const outcome = error instanceof Problem ? error.code : 'internal'
    await db.operate((tx) =>
      store.insertAct(tx, {
        id: newId('opa'),
        operator,
        act,
        subject: idsOf(about),
        outcome,
        reason: reason ?? null,
        at: now,
      }),
    )
    throw error
  }
}

/** An address may say anything where an id belongs; what cannot be one is nobody's, and not written down. */
const idsOf = (subject: string): string => (/^[!-~]{0,200}$/.test(subject) ? subject : '')
