import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { RUNNER_PROTOCOL } from '@agentctl/contract/runner-constants.ts'
import { BackOff } from './back-off.ts'
import type { Machine } from './machine.ts'
import { reasonOf } from './own-log.ts'
import { Refusal, type ServerClient } from './server-client.ts'
import type { Supervisor } from './supervisor.ts'

/**
 * Ends the agent in peace and removes everything that is secret, since the disk of this machine is about to be copied
 * and the machine to be switched off; then says so. Nothing is started here any more.
 */
export async function forget(
  machine: Machine,
  supervisor: Supervisor,
  server: ServerClient,
  about: { runnerSha256: string; port: number; revision: number },
): Promise<void> {
  const { layout, logs, reports, proxy, log } = machine
  log('told to forget: the machine is about to be copied and released')
  await supervisor.stop()
  await Promise.all([proxy.close(500), logs.flush(2000), reports.flush(2000)])
  for (const name of readdirSync(layout.run)) {
    // The lock of the script that started us says nothing, and without it a second runner could be started.
    if (name !== 'lock') rmSync(join(layout.run, name), { recursive: true, force: true })
  }
  const backOff = new BackOff(200, 5000)
  for (;;) {
    try {
      await server.post('/v1/runner/poll', { protocol: RUNNER_PROTOCOL, ...about, emptied: true })
      return
    } catch (error) {
      // Nobody waits for it any more.
      if (error instanceof Refusal && error.status === 401) return
      log(`the server cannot be told, trying again: ${reasonOf(error)}`)
      await backOff.wait()
    }
  }
}
