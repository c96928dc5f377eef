import { type HelloAnswer, POLL_SECONDS } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import { wakeOperation } from '../platform/operations.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import type { Wakes } from '../platform/wakes.ts'
import { findGreeting } from './machine-store.ts'
import { findWaiting, setWaiting, tradeBootstrap, warmSubject } from './warm-store.ts'

type Waiting = Extract<z.infer<typeof HelloAnswer>, { waiting: true }>

/**
 * A blank machine has no credential: it greets, and its greeting is held until an agent has it. The token of its
 * script, which stays readable where cloud-init keeps it, is traded for one on its tmpfs first, and ends with the first
 * use of that. Whatever is lost on the way, the same greeting can be repeated.
 */
export async function awaitAgent(
  { db, clock, wakes }: Pick<Deps, 'db' | 'clock'> & { wakes: Wakes },
  bootstrapHash: Buffer,
  signal: AbortSignal,
): Promise<{ id: string; agentId: string } | Waiting | 'refused'> {
  const token = newToken('b').reveal()
  const traded = { waitingHash: tokenHash(token), now: clock.now() }
  if (await tradeBootstrap(db.jobs, bootstrapHash, traded)) return { waiting: true, bootstrapToken: token }
  const machine = await findWaiting(db.jobs, bootstrapHash)
  if (!machine) return 'refused'
  const wake = wakes.of(machine.id)
  try {
    await setWaiting(db.jobs, machine.id, clock.now())
    await wakeOperation(db.jobs, warmSubject(machine.id))
    const deadline = performance.now() + POLL_SECONDS * 1000
    for (;;) {
      // In this order: what is bound by the second look was there at none, or is there at the next.
      const bound = await findGreeting(db.jobs, bootstrapHash)
      if (bound) return bound
      const now = await findWaiting(db.jobs, bootstrapHash)
      if (!now || now.state === 'deleting' || now.state === 'deleted') return 'refused'
      const remaining = deadline - performance.now()
      if (now.state === 'bound') {
        // Bound between the two looks; or its agent has let it go already.
        return (await findGreeting(db.jobs, bootstrapHash)) ?? 'refused'
      }
      if (remaining <= 0 || signal.aborted) return { waiting: true }
      await wake.next(remaining, signal)
    }
  } finally {
    wake.close()
  }
}
