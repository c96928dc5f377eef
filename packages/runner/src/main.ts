import { parseArgs } from 'node:util'
import type { Desired } from '@agentctl/contract/runner.ts'
import { RUNNER_PORT, RUNNER_PROTOCOL } from '@agentctl/contract/runner-constants.ts'
import { AgentProxy } from './agent-proxy.ts'
import { findAgentUser } from './agent-user.ts'
import { BackOff, pause } from './back-off.ts'
import { BlobCache } from './blob-cache.ts'
import { obtainCredential } from './credential.ts'
import { forget } from './forget.ts'
import { LogShipper } from './log-shipper.ts'
import type { Machine } from './machine.ts'
import { machineLayout, makeDirectories, ownSha256 } from './machine-layout.ts'
import { becomeOnlyRunner } from './only-runner.ts'
import { ownLog as log, reasonOf } from './own-log.ts'
import { pollForDesired } from './poll.ts'
import { ReportOutbox } from './report-outbox.ts'
import { RunningRecord } from './running-record.ts'
import { installRunner } from './self-update.ts'
import { serverClient } from './server-client.ts'
import { readState, writeState } from './state-file.ts'
import { Supervisor } from './supervisor.ts'

/** How long an update waits for a moment without an open request before it takes the next best one. */
const QUIET_MS = 10_000
const UPDATE_RETRY_MS = 60_000

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      api: { type: 'string' },
      base: { type: 'string', default: '/opt/agentctl' },
      run: { type: 'string', default: '/run/agentctl' },
      version: { type: 'boolean', default: false },
    },
  })
  if (values.version) {
    process.stdout.write(`agentctl runner, protocol ${RUNNER_PROTOCOL}\n`)
    return
  }
  if (!values.api) throw new Error('--api URL is missing')

  process.umask(0o022)
  const layout = machineLayout(values.base, values.run)
  makeDirectories(layout)
  await becomeOnlyRunner(layout.runner, log)
  const runnerSha256 = ownSha256(process.argv[1] ?? '')
  let machineToken: string | undefined
  const server = serverClient(values.api, () => machineToken)
  const credential = await obtainCredential(layout, server, runnerSha256, log)
  machineToken = credential.machineToken

  const proxy = new AgentProxy(credential.routerCredential)
  const machine: Machine = {
    layout,
    user: findAgentUser(),
    cache: new BlobCache(layout.blobs, server),
    logs: new LogShipper(server, layout.logSequence, log),
    reports: new ReportOutbox(server, layout.reports, log),
    record: new RunningRecord(layout.running),
    proxy,
    log,
  }
  const supervisor = new Supervisor(machine)
  supervisor.adopt()
  const port = await listen(
    proxy,
    credential.listenAddress,
    Number(readState(layout.proxyPort)) || RUNNER_PORT,
  )
  writeState(layout.proxyPort, String(port))
  log(
    `listening on ${credential.listenAddress}:${port} as ${credential.machineId}, agents run as ${machine.user.name}`,
  )

  const goDown = async () => {
    log('stopping the agent')
    const hard = setTimeout(() => process.exit(1), 60_000)
    hard.unref()
    await supervisor.stop()
    await Promise.all([proxy.close(500), machine.logs.flush(2000), machine.reports.flush(2000)])
    process.exit(0)
  }
  process.once('SIGTERM', goDown)
  process.once('SIGINT', goDown)

  let wantedRunner = runnerSha256
  let anotherWanted = new AbortController()
  let updating = false
  const update = async () => {
    if (updating) return
    updating = true
    while (wantedRunner !== runnerSha256) {
      // Taken before the attempt: a wish that comes during it ends the pause after it.
      const { signal } = anotherWanted
      try {
        // A release that is being started is not thrown away for an update.
        while (!supervisor.idle) await pause(50)
        await installRunner(layout, server, wantedRunner, runnerSha256)
        await quiet(supervisor, proxy)
        log(`making room for runner ${wantedRunner.slice(0, 12)}`)
        // Whoever started us starts the new one, which adopts the agent: the same road as after a crash of ours.
        await Promise.all([machine.logs.flush(500), machine.reports.flush(500)])
        await proxy.close(500)
        process.exit(0)
      } catch (error) {
        log(`the runner could not be updated, trying again: ${reasonOf(error)}`)
        await pause(UPDATE_RETRY_MS, signal)
      }
    }
    updating = false
  }
  let forgetting = false
  const onDesired = (desired: Desired) => {
    if (desired.forget && !forgetting) {
      forgetting = true
      void forget(machine, supervisor, server, { runnerSha256, port, revision: desired.revision })
    }
    if (forgetting) return
    supervisor.desire(desired)
    if (wantedRunner !== desired.runner.sha256) {
      wantedRunner = desired.runner.sha256
      anotherWanted.abort()
      anotherWanted = new AbortController()
    }
    void update()
  }
  void supervisor.run()
  await pollForDesired(server, { runnerSha256, port }, onDesired, log)
}

/** The address may come up later than we do. */
async function listen(proxy: AgentProxy, address: string, port: number): Promise<number> {
  const backOff = new BackOff(250, 2000)
  for (;;) {
    try {
      return await proxy.listen(address, [port, RUNNER_PORT, 0])
    } catch (error) {
      log(`cannot listen on ${address}, trying again: ${reasonOf(error)}`)
      await backOff.wait()
    }
  }
}

async function quiet(supervisor: Supervisor, proxy: AgentProxy): Promise<void> {
  const deadline = Date.now() + QUIET_MS
  while ((!supervisor.idle || proxy.open > 0) && Date.now() < deadline) await pause(5)
}

// A fault in one request or one report must not end the runner of a whole machine.
process.on('unhandledRejection', (error) => log(`unexpected: ${reasonOf(error)}`))
process.on('uncaughtException', (error) => log(`unexpected: ${reasonOf(error)}`))

main().catch((error: unknown) => {
  log(reasonOf(error))
  process.exit(1)
})
