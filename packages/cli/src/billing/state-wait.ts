import { pause } from '../api-client.ts'
import type { Context } from '../context.ts'
import { exitCodeOf, Failure } from '../failure.ts'

const POLL_SECONDS = 20
const PROMPT_MS = 500
/** For how long the service may be away while what we wait for goes on without us. */
const PATIENCE_MS = 60_000

export interface StateWait<T> {
  first: T
  /** What is waited for, for the end of "… is not settled yet". */
  subject: string
  timeoutSeconds: number
  goesOn(now: T): boolean
  ask(now: T, waitSeconds: number): Promise<T>
  /** Where it stands, in words. */
  tells(now: T): string
  /** What to type to wait on. */
  resume: string
  /** What is printed on stdout when the wait ends badly. */
  document(now: T): unknown
}

/** Waits until something is settled, by asking the service for its state. */
export async function waitUntilSettled<T>(ctx: Context, wait: StateWait<T>): Promise<T> {
  const { subject, resume } = wait
  ctx.onInterrupt(`It goes on without you: ${resume}`, [resume])
  const deadline = performance.now() + wait.timeoutSeconds * 1000
  const progress = ctx.progress(wait.tells(wait.first))
  let now = wait.first
  let lastAnswer = performance.now()
  try {
    while (wait.goesOn(now)) {
      const left = (deadline - performance.now()) / 1000
      if (left <= 0) {
        throw new Failure('still_in_progress', `${subject} is not settled yet: ${wait.tells(now)}`, {
          fix: `It goes on. Wait on: ${resume}`,
          next: [resume],
          document: wait.document(now),
        })
      }
      try {
        const asked = performance.now()
        const before = wait.tells(now)
        now = await wait.ask(now, Math.max(1, Math.min(POLL_SECONDS, Math.ceil(left))))
        lastAnswer = performance.now()
        // Whoever answers at once that nothing has changed does not hold questions, and is not to be flooded.
        if (lastAnswer - asked < PROMPT_MS && wait.tells(now) === before && wait.goesOn(now)) {
          await pause(PROMPT_MS, ctx.signal)
        }
      } catch (error) {
        if (!(error instanceof Failure) || exitCodeOf(error.code) !== 7) throw error
        if (performance.now() - lastAnswer > PATIENCE_MS || performance.now() > deadline) {
          throw new Failure(error.code, `${error.message}, while ${subject.toLowerCase()} was going on`, {
            fix: `It goes on without you: ${resume}`,
            next: [resume],
            requestId: error.requestId ?? undefined,
            document: wait.document(now),
            cause: error,
          })
        }
        await pause(1000, ctx.signal)
      }
      progress.say(wait.tells(now))
    }
  } finally {
    progress.stop()
  }
  return now
}
