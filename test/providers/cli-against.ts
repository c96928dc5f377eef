import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Person, TestCloud } from '@agentctl/server/agents/test-cloud.ts'
import { listen } from '@agentctl/server/platform/http-server.ts'
import { afterAll } from 'vitest'
import { type Machine, newMachine, type Ran } from '../../packages/cli/src/testing/run-cli.ts'

/** The real CLI, as a process of its own, against the API of a test. */
export async function cliAgainst(
  cloud: Pick<TestCloud, 'app'>,
): Promise<{ machine: Machine; run(person: Person, ...args: string[]): Promise<Ran> }> {
  const server = await listen(cloud.app.fetch, '127.0.0.1', 0)
  const machine = await newMachine()
  afterAll(async () => {
    machine.remove()
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    machine,
    run: ({ account, namespace }, ...args) =>
      machine.run([...args, '-n', namespace], {
        env: { AGENTCTL_API_URL: url, AGENTCTL_API_KEY: account },
      }),
  }
}

/** What went wrong, without the progress before it. */
export const errorOf = ({ stderr }: Ran): string => stderr.slice(Math.max(0, stderr.indexOf('error:')))
