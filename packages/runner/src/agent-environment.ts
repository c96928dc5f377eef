import { dirname } from 'node:path'
import type { DesiredRelease } from '@agentctl/contract/runner.ts'
import type { AgentUser } from './agent-user.ts'
import type { MachineLayout } from './machine-layout.ts'

/** All that an agent's process gets; nothing of the runner's own environment is among it. */
export function agentEnvironment(
  release: DesiredRelease,
  layout: MachineLayout,
  user: AgentUser,
  port: number | null,
): Record<string, string> {
  return {
    LANG: 'C.UTF-8',
    ...release.config.env,
    ...release.environment,
    // The platform's own come last: an agent that gets another PORT than the one we watch is never healthy.
    HOME: layout.home,
    USER: user.name,
    PATH: `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    ...(port === null ? {} : { PORT: String(port) }),
  }
}
