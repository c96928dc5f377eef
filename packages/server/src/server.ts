import { openAssets } from './agents/assets.ts'
import { agentWork, scheduleAgentWork } from './agents/operations.ts'
import { createApp } from './app.ts'
import { cardWork, scheduleCardWork } from './billing/card-operations.ts'
import { billingWork, scheduleBillingWork } from './billing/operations.ts'
import type { Deps } from './deps.ts'
import { identityWork, scheduleIdentityWork } from './identity/operations.ts'
import { operatorWork, scheduleOperatorWork } from './operators/operations.ts'
import { fileBlobs } from './platform/blobs.ts'
import { fileClock, systemClock } from './platform/clock.ts'
import type { Config } from './platform/config.ts'
import { openDb } from './platform/db.ts'
import { closeServer, listen } from './platform/http-server.ts'
import { checkKeys } from './platform/key-check.ts'
import { openKeyring, openPepper } from './platform/keyring.ts'
import { faultOf, type Log } from './platform/log.ts'
import { migrate } from './platform/migrate.ts'
import { startWorker } from './platform/operations.ts'
import { openRequestLimits } from './platform/request-limits.ts'
import { s3Blobs } from './providers/blobs/s3.ts'
import { openCards } from './providers/cards/stripe.ts'
import { openChain } from './providers/chain/evm.ts'
import { openTransfers } from './providers/chain/transfers.ts'
import { openHostnames } from './providers/dns/cloudflare.ts'
import { openEdgeProbe } from './providers/dns/edge-probe.ts'
import { keepPreparing } from './providers/dns/keep-preparing.ts'
import { openLiveDns } from './providers/dns/live-dns.ts'
import { openMachines } from './providers/machines/vultr.ts'
import { openSms } from './providers/sms/twilio.ts'
import { openTransport } from './providers/transport.ts'
import { startRouter } from './router/router.ts'

/** api answers clients and machines · router carries traffic to agents · worker does the durable work */
export const roles = ['api', 'router', 'worker'] as const
export type Role = (typeof roles)[number]

export interface RunningServer {
  /** Stops in order: no new requests, work under way ends, connections close. */
  stop(): Promise<void>
}

export async function startServer({
  config,
  log,
  roles: chosen,
}: {
  config: Config
  log: Log
  roles: readonly Role[]
}): Promise<RunningServer> {
  await migrate(config.databaseUrl.reveal())
  const keyring = openKeyring(config.keyringFile)
  const pepper = openPepper(config.pepperFile)
  await checkKeys(config.databaseUrl.reveal(), { keyring, pepper })
  const clock = config.clockFile ? fileClock(config.clockFile) : systemClock
  const db = openDb({
    app: (config.databaseAppUrl ?? config.databaseUrl).reveal(),
    jobs: (config.databaseJobsUrl ?? config.databaseUrl).reveal(),
    operator: (config.databaseOperatorUrl ?? config.databaseUrl).reveal(),
    assumeRoles: config.databaseAppUrl === undefined,
    connectionsMax: 10,
  })
  const transport = openTransport({
    processors: [
      config.twilio.baseUrl,
      config.vultr.baseUrl,
      ...(config.stripe ? [config.stripe.baseUrl] : []),
      ...(config.cloudflare ? [config.cloudflare.baseUrl] : []),
      ...(config.blobs ? [config.blobs.endpoint] : []),
    ],
    infrastructure: [config.chain.rpcUrl],
  })
  const liveDns = openLiveDns(config.domains.dnsServers)
  const { cloudflare } = config
  const deps: Deps = {
    config,
    db,
    clock,
    log,
    keyring,
    pepper,
    blobs: config.blobs
      ? s3Blobs({ s3: config.blobs, transport, log })
      : fileBlobs(`${config.dataDir}/blobs`),
    sms: openSms({ config, transport, log }),
    machines: openMachines(config, transport),
    chain: openChain({ config, transport, log }),
    transfers: config.deposits.map((chain) => openTransfers(chain, transport)),
    cards: config.stripe && openCards({ stripe: config.stripe, transport, log }),
    hostnames: cloudflare && openHostnames({ config: { ...config, cloudflare }, transport, log }),
    liveDns,
    edgeProbe: openEdgeProbe(config.domains, liveDns),
  }
  const stops: (() => Promise<void>)[] = []
  try {
    if (chosen.includes('api')) {
      // At the start, so that this server can give out later what others order with the same programs now.
      openAssets(config).catch((error: unknown) => {
        log.error('The programs of machines cannot be kept; tried again with the next order', {
          fault: faultOf(error),
        })
      })
      const stopping = new AbortController()
      const limits = openRequestLimits(deps, config.requestsPerMinute)
      stops.push(() => limits.stop())
      const movable = config.clockFile ? fileClock(config.clockFile) : undefined
      const app = createApp(deps, movable, stopping.signal, limits)
      const http = await listen(app.fetch, config.host, config.port)
      stops.push(async () => {
        stopping.abort()
        await closeServer(http)
      })
    }
    if (chosen.includes('router')) {
      const router = await startRouter(deps)
      stops.push(() => router.close())
    }
    if (chosen.includes('worker')) {
      await scheduleIdentityWork(deps)
      await scheduleAgentWork(deps)
      await scheduleBillingWork(deps)
      await scheduleCardWork(deps)
      await scheduleOperatorWork(deps)
      const worker = await startWorker(
        { ...deps, leaseSeconds: config.leaseSeconds },
        {
          ...identityWork(deps),
          ...agentWork(deps),
          ...billingWork(deps),
          ...cardWork(deps),
          ...operatorWork(deps),
        },
      )
      stops.push(() => worker.stop())
      if (deps.hostnames) stops.push(keepPreparing(deps.hostnames, log))
    }
  } catch (error) {
    await Promise.allSettled(stops.map((stop) => stop()))
    await Promise.all([db.close(), transport.close()])
    throw error
  }
  log.info('Serving', { role: chosen.join(','), port: config.port })
  return {
    async stop() {
      await Promise.allSettled(stops.map((stop) => stop()))
      await Promise.all([db.close(), transport.close()])
      log.info('Stopped', { role: chosen.join(',') })
    },
  }
}
