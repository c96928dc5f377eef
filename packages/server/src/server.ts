import { openAssets } from './agents/assets.ts'
import { agentWork, scheduleAgentWork } from './agents/operations.ts'
import { keepProgramsShared } from './agents/shared-programs.ts'
import { createApp } from './app.ts'
import { cardWork, scheduleCardWork } from './billing/card-operations.ts'
import { billingWork, scheduleBillingWork } from './billing/operations.ts'
import type { Deps } from './deps.ts'
import { domainWork, scheduleDomainWork } from './domains/operations.ts'
import { scheduleWebhookWork, webhookWork } from './identity/webhook-operation.ts'
import { showState } from './operators/state-metrics.ts'
import { fileBlobs } from './platform/blobs.ts'
import { fileClock, systemClock } from './platform/clock.ts'
import type { Config, Role } from './platform/config.ts'
import { openDb, type RoleLogin } from './platform/db.ts'
import { faultOf } from './platform/fault.ts'
import { tellHealth } from './platform/health.ts'
import { closeServer, listen } from './platform/http-server.ts'
import { checkKeys } from './platform/key-check.ts'
import { openKeyring, openPepper } from './platform/keyring.ts'
import type { Log } from './platform/log.ts'
import { type Metrics, openMetrics } from './platform/metrics.ts'
import { awaitMigrations, migrate } from './platform/migrate.ts'
import { startWorker } from './platform/operations.ts'
import { countProcess, countRequests, measuredDb } from './platform/process-metrics.ts'
import { openRequestLimits } from './platform/request-limits.ts'
import type { Secret } from './platform/secret.ts'
import { privacyWork, schedulePrivacyWork } from './privacy/operations.ts'
import { openRequestLog } from './privacy/request-log.ts'
import { rightsWork, scheduleRightsWork } from './privacy/rights-operations.ts'
import { keepToldFields } from './privacy/told-fields.ts'
import { s3Blobs } from './providers/blobs/s3.ts'
import { openCards } from './providers/cards/stripe.ts'
import { openChain } from './providers/chain/evm.ts'
import { openTransfers } from './providers/chain/transfers.ts'
import { openHostnames } from './providers/dns/cloudflare.ts'
import { openEdgeProbe } from './providers/dns/edge-probe.ts'
import { keepPreparing } from './providers/dns/keep-preparing.ts'
import { openLiveDns } from './providers/dns/live-dns.ts'
import { openMachines } from './providers/machines/vultr.ts'
import { measuredTransport } from './providers/measured-transport.ts'
import { allowedHosts, type ProcessorHost, processorHosts } from './providers/processors.ts'
import { openSms } from './providers/sms/twilio.ts'
import { openTransport, type Transport } from './providers/transport.ts'
import { startRouter } from './router/router.ts'

export interface RunningServer {
  /** Stops in order: no new requests, work under way ends, connections close. */
  stop(): Promise<void>
}

/** How long a new version waits for the job that migrates. */
const MIGRATIONS_WITHIN_MS = 120_000

type Stop = () => Promise<void>
type Basis = Pick<Deps, 'config' | 'db' | 'clock' | 'log' | 'keyring'>
/** What answering callers and working have in common. */
type Common = Omit<Deps, 'pepper' | 'sms' | 'machines' | 'hostnames'>

export async function startServer({
  config,
  log,
  roles: chosen,
}: {
  config: Config
  log: Log
  roles: readonly Role[]
}): Promise<RunningServer> {
  const plays = (role: Role): boolean => chosen.includes(role)
  if (config.databaseUrl) await migrate(config.databaseUrl.reveal())
  const metrics = openMetrics()
  countProcess(metrics)
  const pools = openDb({
    app: plays('api') ? loginOf(config, config.databaseAppUrl) : undefined,
    jobs: loginOf(config, config.databaseJobsUrl),
    operator:
      plays('api') && config.operators.length > 0 ? loginOf(config, config.databaseOperatorUrl) : undefined,
    connectionsMax: 10,
  })
  const db = measuredDb(pools, metrics)
  const transport = measuredTransport(openTransport(hostsOf(config, plays)), metrics)
  const stops: Stop[] = [() => db.close(), () => transport.close()]
  /** The last that was started stops first; what it works with is there until then. */
  const stopAll = async (): Promise<void> => {
    for (const stop of stops.reverse()) await stop().catch(() => {})
  }
  try {
    await awaitMigrations(db.jobs, MIGRATIONS_WITHIN_MS)
    const keyring = openKeyring(config.keyringFile)
    const pepper = plays('api') ? openPepper(config.pepperFile) : undefined
    await checkKeys(db.jobs, { keyring, pepper })
    const clock = config.clockFile ? fileClock(config.clockFile) : systemClock
    const basis: Basis = { config, db, clock, log, keyring }
    const alive: (() => boolean)[] = []
    const started: Stop[] = []
    if (plays('api') || plays('worker')) {
      const common = openCommon(basis, transport)
      const noting = await keepToldFields({ ...common, hosts: ownHosts(config, plays) })
      // Once nobody tells anything any more.
      stops.push(noting.stop)
      if (pepper)
        started.push(await startApi({ ...common, pepper, sms: openSms({ config, transport, log }) }, metrics))
      if (plays('worker')) {
        const { cloudflare } = config
        const working = await startWork({
          ...common,
          machines: openMachines(config, { transport, log }),
          hostnames: cloudflare && openHostnames({ config: { ...config, cloudflare }, transport, log }),
        })
        alive.push(working.isAlive)
        started.push(working.stop)
        showState(common, metrics)
      }
    }
    if (plays('router')) {
      const router = await startRouter({ ...basis, metrics })
      started.push(() => router.close())
    }
    stops.push(() => Promise.allSettled(started.map((stop) => stop())).then(() => {}))
    if (config.healthPort !== undefined) {
      const asked = { db, host: config.host, port: config.healthPort, metrics }
      const health = await tellHealth(asked, () => alive.every((isAlive) => isAlive()))
      stops.unshift(() => health.close())
      stops.push(async () => health.retire())
    }
  } catch (error) {
    await stopAll()
    throw error
  }
  log.info('Serving', { role: chosen.join(','), port: config.port })
  return {
    async stop() {
      await stopAll()
      log.info('Stopped', { role: chosen.join(',') })
    },
  }
}

function loginOf({ databaseUrl }: Config, own: Secret | undefined): RoleLogin {
  const url = own ?? databaseUrl
  if (!url) throw new Error('There is no URL of the database for this role.')
  return { url: url.reveal(), assume: own === undefined }
}

/** Policy 2g, role by role: who carries traffic calls nobody, and only who works reaches machines and names. */
function hostsOf(config: Config, plays: (role: Role) => boolean): Parameters<typeof openTransport>[0] {
  if (!plays('api') && !plays('worker')) return allowedHosts([], [])
  return allowedHosts(ownHosts(config, plays), [config.chain.rpcUrl])
}

function ownHosts(config: Config, plays: (role: Role) => boolean): ProcessorHost[] {
  const own: Readonly<Record<string, boolean>> = {
    Twilio: plays('api'),
    Vultr: plays('worker'),
    Cloudflare: plays('worker'),
  }
  return processorHosts(config).filter(({ name, what }) => what === 'files' || (own[name] ?? true))
}

function openCommon(basis: Basis, transport: Transport): Common {
  const { config, log } = basis
  const { blobs, stripe } = config
  const liveDns = openLiveDns(config.domains.dnsServers)
  return {
    ...basis,
    egress: transport.egress,
    blobs: blobs ? s3Blobs({ s3: blobs, transport, log }) : fileBlobs(`${config.dataDir}/blobs`),
    chain: openChain({ config, transport, log }),
    transfers: config.deposits.map((chain) => openTransfers(chain, transport)),
    cards: stripe && openCards({ stripe, transport, log }),
    liveDns,
    edgeProbe: openEdgeProbe(config.domains, liveDns),
  }
}

async function startApi(deps: Omit<Deps, 'machines' | 'hostnames'>, metrics: Metrics): Promise<Stop> {
  const { config, log } = deps
  // At the start, so that this server can give out later what others order with the same programs now.
  openAssets(config).catch((error: unknown) => {
    log.error('The programs of machines cannot be kept; tried again with the next order', {
      fault: faultOf(error),
    })
  })
  const stopping = new AbortController()
  const limits = openRequestLimits(deps, config.requestsPerMinute)
  const movable = config.clockFile ? fileClock(config.clockFile) : undefined
  const requestLog = openRequestLog(deps)
  const app = createApp(deps, movable, stopping.signal, limits, [countRequests(metrics), requestLog.record])
  const http = await listen(app.fetch, config.host, config.port)
  return async () => {
    stopping.abort()
    await closeServer(http)
    await Promise.all([limits.stop(), requestLog.stop()])
  }
}

async function startWork(deps: Omit<Deps, 'pepper' | 'sms'>): Promise<{ isAlive(): boolean; stop: Stop }> {
  await scheduleAgentWork(deps)
  await scheduleDomainWork(deps)
  await scheduleBillingWork(deps)
  await scheduleCardWork(deps)
  await schedulePrivacyWork(deps)
  await scheduleRightsWork(deps)
  await scheduleWebhookWork(deps)
  // Before anything is ordered with them.
  const stopSharing = await keepProgramsShared(deps)
  const worker = await startWorker(
    { ...deps, leaseSeconds: deps.config.leaseSeconds },
    {
      ...agentWork(deps),
      ...domainWork(deps),
      ...billingWork(deps),
      ...cardWork(deps),
      ...privacyWork(deps),
      ...rightsWork(deps),
      ...webhookWork(deps),
    },
  )
  const stopPreparing = deps.hostnames && keepPreparing(deps.hostnames, deps.log)
  return {
    isAlive: worker.isAlive,
    stop: async () => {
      stopSharing()
      await Promise.all([worker.stop(), stopPreparing?.()])
    },
  }
}
