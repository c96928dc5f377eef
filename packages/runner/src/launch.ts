import { randomBytes } from 'node:crypto'
import { chown } from 'node:fs/promises'
import { join } from 'node:path'
import type { DesiredRelease, Timings } from '@agentctl/contract/runner.ts'
import { agentEnvironment } from './agent-environment.ts'
import { AgentProcess, type Ending } from './agent-process.ts'
import { pause } from './back-off.ts'
import { type Probe, waitForHealth } from './health.ts'
import { makeLogPipes } from './log-pipes.ts'
import type { Machine } from './machine.ts'
import { choosePort } from './ports.ts'
import { elapsed, type Failure } from './prepare-release.ts'
import { listeningPorts } from './proc.ts'

export interface Launched {
  agent: AgentProcess
  host: string
  port: number
}

/** After so long on a wrong port the log says so, though the agent has until its timeout to find the right one. */
const WRONG_PORT_HINT_MS = 3000

/** Starts the agent and waits until it is healthy. Undefined: it was called off. */
export async function launch(
  { layout, user, logs, record }: Pick<Machine, 'layout' | 'user' | 'logs' | 'record'>,
  release: DesiredRelease,
  timings: Timings,
  signal: AbortSignal,
): Promise<Launched | Failure | undefined> {
  const { config } = release
  const startSince = performance.now()
  if (user.ids) await chown(layout.home, user.ids.uid, user.ids.gid)
  const [port, pipes] = await Promise.all([
    choosePort(config.port),
    makeLogPipes(layout.pipes, randomBytes(6).toString('hex'), user),
  ])
  const healthSince = performance.now()
  const agent = AgentProcess.start(
    {
      command: config.start,
      cwd: join(layout.releases, release.id),
      environment: agentEnvironment(release, layout, user, port),
      user,
      pipes,
    },
    (stream, line) => logs.push(stream, release.id, line),
  )
  const { identity } = agent
  if (identity) record.started({ identity, pipes, startedAt: agent.startedAt })
  timings.startMs = elapsed(startSince)

  const waiting = new AbortController()
  const either = AbortSignal.any([signal, waiting.signal])
  let ending: Ending | undefined
  void agent.ended.then((how) => {
    ending = how
    waiting.abort()
  })
  void pause(WRONG_PORT_HINT_MS, either).then(() => {
    if (either.aborted || !identity) return
    const ports = listeningPorts(identity)
    if (ports.length === 0 || ports.includes(port)) return
    logs.push('platform', release.id, `${wrongPort(ports, port)} Waiting for it.`)
  })
  const probe = await waitForHealth(port, config.health.path, config.health.timeoutSeconds * 1000, either)
  waiting.abort()
  timings.healthMs = elapsed(healthSince)
  if (probe.is === 'healthy' && !ending && !signal.aborted) return { agent, host: probe.host, port }

  const failure = signal.aborted ? undefined : failureOf(release, agent, ending, probe, port)
  await agent.stop()
  if (identity) record.ended(identity)
  return failure && { ...failure, message: failure.message?.slice(0, 2000), logTail: agent.tail() }
}

function failureOf(
  { config }: DesiredRelease,
  agent: AgentProcess,
  ending: Ending | undefined,
  probe: Probe,
  port: number,
): Failure & { message: string } {
  const seconds = config.health.timeoutSeconds
  if (ending?.error) {
    const message = `The start command \`${config.start}\` could not be started (${ending.error.code ?? ending.error.message}).`
    return { reason: 'start_failed', message }
  }
  if (ending && (ending.code === 127 || ending.code === 126)) {
    const why = ending.code === 127 ? 'command not found on the machine' : 'the file is not executable'
    const message = `The start command \`${config.start}\` could not be started: ${why}. Check \`start\` in agent.json.`
    return { reason: 'start_failed', message, exitCode: ending.code }
  }
  if (ending) return { reason: 'exited', message: exitedMessage(agent, ending), exitCode: ending.code }
  if (probe.is === 'unhealthy') {
    const message = `The agent listens, but GET ${config.health.path} ${probe.how}, up to the end of the ${seconds} seconds that it had. Healthy means an answer with 2xx or 3xx.`
    return { reason: 'unhealthy', message }
  }
  const ports = agent.identity ? listeningPorts(agent.identity) : []
  if (ports.length > 0 && !ports.includes(port)) {
    return { reason: 'wrong_port', message: wrongPort(ports, port) }
  }
  const message = `The agent runs, but did not listen on any port within ${seconds} seconds. It must listen on the port in $PORT (here ${port}).`
  return { reason: 'not_listening', message }
}

const wrongPort = (ports: number[], port: number): string =>
  `The agent listens on port ${ports.join(', ')}, not on the port in $PORT (here ${port}). Let it read $PORT from its environment.`

function exitedMessage(agent: AgentProcess, ending: Ending): string {
  const seconds = Math.max(Math.round((Date.now() - agent.startedAt) / 100) / 10, 0.1)
  const when = `${seconds} s after its start, before it was healthy`
  if (ending.signal) {
    const memory = ending.signal === 'SIGKILL' ? ' Perhaps the machine ran out of memory.' : ''
    return `The agent was ended by ${ending.signal} ${when}.${memory}`
  }
  if (ending.code === 0) {
    return `The agent ended by itself (exit code 0) ${when}. The start command must stay in the foreground.`
  }
  const taken = agent.tail().some((line) => /EADDRINUSE|address already in use/i.test(line))
  const hint = taken ? ' The port that it wanted is taken: let it listen on $PORT.' : ''
  return `The agent ended with exit code ${ending.code} ${when}.${hint}`
}
