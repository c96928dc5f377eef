import type { AgentStatus, Release } from '@agentctl/contract/agents.ts'
import { problems } from '@agentctl/contract/problems.ts'
import { pause } from '../api-client.ts'
import type { Context } from '../context.ts'
import { exitCodeOf, Failure } from '../failure.ts'
import { printable } from '../output.ts'

/** Longer than a machine takes that is destroyed for not becoming healthy, which is ten minutes. */
export const DEFAULT_WAIT_SECONDS = 12 * 60
const POLL_SECONDS = 20
/** For how long the service may be away (a restart, a lost network) while a release goes on without us. */
const PATIENCE_MS = 60_000

export interface WaitFor {
  release: Release
  /** How the reader names the agent. */
  agent: string
  timeoutSeconds: number
  /** Says what is printed on stdout when the wait ends badly. */
  document(release: Release, status?: AgentStatus): unknown
}

/** Waits until a release is live, by asking the service for its state; logs decide nothing. */
export async function waitForRelease(
  ctx: Context,
  { release, agent, timeoutSeconds, document }: WaitFor,
): Promise<Release> {
  const show = `agentctl agents show ${agent}`
  ctx.onInterrupt(`The release goes on without you: ${show}`, [show])
  const deadline = performance.now() + timeoutSeconds * 1000
  const progress = ctx.progress(stepOf(release))
  let now = release
  let lastAnswer = performance.now()
  try {
    while (now.status === 'pending' || now.status === 'starting') {
      const left = (deadline - performance.now()) / 1000
      if (left <= 0) {
        throw new Failure(
          'still_in_progress',
          `Release ${now.number} of ${agent} is not healthy yet: ${stepOf(now)}`,
          {
            fix: `It goes on. Ask again: ${show}`,
            next: [show, `agentctl agents logs ${agent}`],
            document: document(now),
          },
        )
      }
      const waitSeconds = Math.max(0, Math.min(POLL_SECONDS, Math.ceil(left)))
      try {
        now = await ctx.api('GET /v1/releases/:release', {
          params: { release: now.id },
          query: { waitSeconds, status: now.status, step: now.step ?? undefined },
          timeoutSeconds: waitSeconds + 15,
        })
        lastAnswer = performance.now()
      } catch (error) {
        const transient = error instanceof Failure && exitCodeOf(error.code) === 7
        if (!transient) throw error
        if (performance.now() - lastAnswer > PATIENCE_MS || performance.now() > deadline) {
          throw new Failure(error.code, `${error.message}, while release ${now.number} was being deployed`, {
            fix: `It goes on without you: ${show}`,
            next: [show],
            requestId: error.requestId ?? undefined,
            document: document(now),
            cause: error,
          })
        }
        await pause(1000, ctx.signal)
      }
      progress.say(stepOf(now))
    }
  } finally {
    progress.stop()
  }
  if (now.status === 'failed') throw await failed(ctx, now, agent, document)
  return now
}

const stepOf = ({ number, step, status }: Release): string =>
  `Release ${number}: ${step ?? (status === 'pending' ? 'waiting for its machine' : 'starting')}`

/** Why there was no machine, in words that are problems of their own. */
const NO_MACHINE = ['machines_sold_out', 'provider_unavailable'] as const

async function failed(
  ctx: Context,
  release: Release,
  agent: string,
  document: WaitFor['document'],
): Promise<Failure> {
  const { reason, message = 'it did not become healthy', logTail = [] } = release.failure ?? {}
  if (logTail.length > 0) {
    ctx.out.notice(`Last lines of release ${release.number}:`)
    for (const line of logTail) ctx.out.notice(`  ${printable(line)}`)
  }
  // Only a kindness: without this answer the failure is told all the same.
  const now = await ctx
    .api('GET /v1/agents/:agent', { params: { agent: release.agentId } })
    .catch(() => undefined)
  const serving = now?.release
    ? `Release ${now.release.number} goes on serving.`
    : 'Nothing serves at its address.'
  // Nothing is wrong with what was deployed: the same again, a little later, may do.
  const noMachine = NO_MACHINE.find((code) => code === reason)
  const help = noMachine ? problems[noMachine].fix : `See: agentctl agents logs ${agent}`
  return new Failure(
    noMachine ?? 'release_failed',
    `Release ${release.number} of ${agent} failed: ${printable(message)}`,
    {
      fix: `${now ? `${serving} ` : ''}${help}`,
      next: noMachine ? [`agentctl agents show ${agent}`] : [`agentctl agents logs ${agent}`],
      document: document(release, now?.status),
    },
  )
}
