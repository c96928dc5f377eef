import type { Domain } from '@agentctl/contract/domains.ts'
import { waitUntilSettled } from '../billing/state-wait.ts'
import type { Context } from '../context.ts'
import { shownName } from './domain-text.ts'

/** Where a domain stands, for whoever waits for it. */
export const tellsOf = ({ hostname, status, step }: Domain): string =>
  step?.replace(/\.$/, '') ?? `${hostname} is ${status}`

/** Asks again and again until nothing goes on any more, each time held by the service until something changes. */
export function waitForDomain(
  ctx: Context,
  wait: { first: Domain; timeoutSeconds: number; goesOn(now: Domain): boolean; resume: string },
): Promise<Domain> {
  return waitUntilSettled(ctx, {
    ...wait,
    subject: shownName(wait.first.hostname),
    ask: (now, waitSeconds) =>
      ctx.api('GET /v1/domains/:domain', {
        params: { domain: now.id },
        query: { waitSeconds, status: now.status, step: now.step ?? '' },
        timeoutSeconds: waitSeconds + 15,
      }),
    tells: tellsOf,
    document: (now) => now,
  })
}

const REGISTERED_SECONDS = 15
const POLL_SECONDS = 5

/**
 * The service asks Cloudflare after it has answered. What comes of it is waited for a little: a name that is refused is
 * told at once, and at an apex there is one more record.
 */
export async function untilRegistered(ctx: Context, added: Domain): Promise<Domain> {
  const deadline = performance.now() + REGISTERED_SECONDS * 1000
  let now = added
  const progress = ctx.progress(tellsOf(added))
  try {
    while (now.status === 'pending' && now.checkedAt === null && performance.now() < deadline) {
      now = await ctx.api('GET /v1/domains/:domain', {
        params: { domain: added.id },
        query: { waitSeconds: POLL_SECONDS, status: now.status, step: now.step ?? '' },
      })
      progress.say(tellsOf(now))
    }
  } finally {
    progress.stop()
  }
  return now
}
