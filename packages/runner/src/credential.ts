import { POLL_SECONDS, RUNNER_PROTOCOL } from '@agentctl/contract/runner-constants.ts'
import { BackOff, pause } from './back-off.ts'
import type { MachineLayout } from './machine-layout.ts'
import { type OwnLog, reasonOf } from './own-log.ts'
import { Refusal, type ServerClient } from './server-client.ts'
import { readJsonState, readState, removeState, writeState } from './state-file.ts'

interface Credential {
  machineId: string
  machineToken: string
  routerCredential: string
  listenAddress: string
}

/** Between two greetings of a machine that waits for its agent: the server holds each of them. */
const GREET_AGAIN_MS = 200

const isCredential = (value: unknown): value is Credential =>
  typeof value === 'object' &&
  value !== null &&
  ['machineId', 'machineToken', 'routerCredential', 'listenAddress'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'string',
  )

const isWaiting = (value: unknown): value is { waiting: true; bootstrapToken?: unknown } =>
  typeof value === 'object' && value !== null && 'waiting' in value && value.waiting === true

/**
 * The credential of this machine: the one kept on tmpfs, else one exchanged for the one-time bootstrap token, which
 * takes until an agent has this machine.
 */
export async function obtainCredential(
  layout: MachineLayout,
  server: ServerClient,
  runnerSha256: string,
  log: OwnLog,
): Promise<Credential> {
  const kept = readJsonState<unknown>(layout.credential)
  if (isCredential(kept)) {
    // A script that runs a second time writes the token again; it is spent.
    removeState(layout.bootstrap)
    return kept
  }
  const backOff = new BackOff(250, 30_000)
  for (;;) {
    // Read anew each time: the script that writes it may run later, with another token.
    const bootstrapToken = readState(layout.bootstrap)?.trim()
    if (!bootstrapToken) {
      log('there is no bootstrap token and no machine credential; waiting for one')
    } else {
      try {
        const answer = await server.post(
          '/v1/runner/hello',
          { bootstrapToken, protocol: RUNNER_PROTOCOL, runnerSha256 },
          { timeoutSeconds: POLL_SECONDS + 15 },
        )
        if (isWaiting(answer)) {
          if (typeof answer.bootstrapToken === 'string') writeState(layout.bootstrap, answer.bootstrapToken)
          backOff.reset()
          await pause(GREET_AGAIN_MS)
          continue
        }
        if (!isCredential(answer)) throw new Error('the answer to hello is no credential')
        writeState(layout.credential, JSON.stringify(answer))
        removeState(layout.bootstrap)
        return answer
      } catch (error) {
        const refused = error instanceof Refusal && !error.passing
        log(`hello failed, trying again: ${reasonOf(error)}`)
        if (refused || (error instanceof Refusal && error.status === 401)) {
          await backOff.wait(undefined, 2000)
          continue
        }
      }
    }
    await backOff.wait()
  }
}
