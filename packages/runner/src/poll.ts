import type { Desired } from '@agentctl/contract/runner.ts'
import { POLL_SECONDS, RUNNER_PROTOCOL } from '@agentctl/contract/runner-constants.ts'
import { BackOff } from './back-off.ts'
import { type OwnLog, reasonOf } from './own-log.ts'
import { Refusal, type ServerClient } from './server-client.ts'

/** A revision that no server has: the answer comes at once. */
const UNKNOWN_REVISION = -1
/** A credential that is refused may be a server that lost sight of its database for a moment; or we are to go. */
const REFUSED_MS = 2000

const isDesired = (value: unknown): value is Desired =>
  typeof value === 'object' &&
  value !== null &&
  'revision' in value &&
  typeof value.revision === 'number' &&
  'release' in value &&
  typeof value.release === 'object' &&
  'runner' in value &&
  typeof value.runner === 'object' &&
  value.runner !== null &&
  'sha256' in value.runner

/** Asks what is desired, for ever, through restarts and faults of the server. */
export async function pollForDesired(
  server: ServerClient,
  about: { runnerSha256: string; port: number },
  onDesired: (desired: Desired) => void,
  log: OwnLog,
): Promise<never> {
  const backOff = new BackOff(200, 5000)
  const refusedBackOff = new BackOff(REFUSED_MS, 30_000)
  let revision = UNKNOWN_REVISION
  let failing = false
  for (;;) {
    try {
      const answer = await server.post(
        '/v1/runner/poll',
        { protocol: RUNNER_PROTOCOL, revision, ...about },
        { timeoutSeconds: POLL_SECONDS + 15 },
      )
      if (!isDesired(answer)) throw new Error('the answer to a poll is not a desired state')
      if (failing) log('the server answers again')
      failing = false
      backOff.reset()
      refusedBackOff.reset()
      if (answer.revision !== revision) {
        onDesired(answer)
        revision = answer.revision
      }
    } catch (error) {
      const refused = error instanceof Refusal && (error.status === 401 || !error.passing)
      if (!failing || refused) {
        log(
          refused
            ? `the server refuses this machine; the agent goes on, and so do the attempts: ${reasonOf(error)}`
            : `the server does not answer, trying again: ${reasonOf(error)}`,
        )
      }
      failing = true
      await (refused ? refusedBackOff : backOff).wait()
    }
  }
}
