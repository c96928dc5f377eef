import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { keepFile, readKeptFile } from '@agentctl/localcloud/kept-file.ts'
import { type LocalCloud, startLocalCloud } from '@agentctl/localcloud/local-cloud.ts'
import {
  identifyProcess,
  isRunning,
  type ProcessIdentity,
  signal,
} from '@agentctl/localcloud/process-identity.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { newToken, tokenHash } from '@agentctl/server/platform/tokens.ts'

const root = dirname(import.meta.dirname)
/** Where payments go on the local chain; nobody has its key. */
const TREASURY = '0x7ea5000000000000000000000000000000007ea5'
const SERVER = join(root, 'packages/server/src/main.ts')
/** The credential of the one operator here, for `agentctl operator …`. */
const OPERATOR_FILE = 'operator-token'
const START_SECONDS = 60
const RESTART_PAUSE_MS = 500
/** Which process is the server, for the next start to find when this one is killed. */
const SERVER_FILE = 'server-process.json'
const STOP_PATIENCE_MS = 15_000

/** What a reader of `.agentctl/local.json` finds. */
export interface LocalFile {
  apiUrl: string
  routerUrl: string
  databaseUrl: string
  chain: { rpcUrl: string; chainId: number; token: { address: string; symbol: string; decimals: number } }
  twilio: { url: string }
  vultr: { url: string }
  stripe: { url: string }
  /** The edge takes HTTPS for agents' names and domains; programs must be told its authority. */
  cloudflare: {
    url: string
    dns: { address: string; port: number }
    edge: { address: string; port: number; caFile: string }
  }
}

export interface Cloud {
  local: LocalFile
  localFile: string
  /** Development accounts with gas and test money; the main job uses the first. */
  wallets: readonly { address: string; privateKey: string }[]
  /** Settings of the server, for whoever starts a process of its own beside it. */
  serverEnvironment: Record<string, string>
  stop(): Promise<void>
}

export interface CloudOptions {
  dataDir: string
  /** Taken as they are; 0 finds free ones. */
  port: number
  routerPort: number
  /** Where the server tells `/live`, `/ready` and `/metrics`, on this machine only; not at all unless given. */
  healthPort?: number | undefined
  /** Uses this database instead of the embedded one. */
  databaseUrl?: string | undefined
  log: (line: string) => void
  /** False: the caller starts the server by itself. */
  server?: boolean
  /** `none` runs machines as plain processes even where a sandbox could be had. */
  sandbox?: 'auto' | 'none'
}

/** A trouble of this machine that the user can mend: `fix` says how. */
export class StartError extends Error {
  readonly fix: string
  constructor(message: string, fix: string) {
    super(message)
    this.fix = fix
  }
}

/** The whole cloud on this machine: the providers' stand-ins, and the server as a process of its own. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const { dataDir, log } = options
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  await endLeftServer(dataDir, log)
  const port = await claimPort(options.port, 'PORT')
  const routerPort = await claimPort(options.routerPort, 'ROUTER_PORT')
  const local = await startLocalCloud({
    dataDir,
    log,
    ...(options.databaseUrl ? { databaseUrl: options.databaseUrl } : {}),
    ...(options.sandbox ? { sandbox: options.sandbox } : {}),
  })
  const apiUrl = `http://127.0.0.1:${port}`
  const file: LocalFile = {
    apiUrl,
    routerUrl: `http://127.0.0.1:${routerPort}`,
    databaseUrl: local.database.url,
    chain: { rpcUrl: local.chain.rpcUrl, chainId: local.chain.chainId, token: local.chain.token },
    twilio: { url: local.twilio.url },
    vultr: { url: local.vultr.url },
    stripe: { url: local.stripe.url },
    cloudflare: { url: local.cloudflare.url, dns: local.cloudflare.dns, edge: local.cloudflare.edge },
  }
  local.cloudflare.setOrigin(file.routerUrl)
  local.stripe.setWebhook(`${apiUrl}/v1/webhooks/stripe`)
  const localFile = join(dataDir, 'local.json')
  writeFileSync(localFile, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 })
  const serverEnvironment = environmentOfServer(local, { dataDir, port, routerPort, apiUrl })
  let server: ServerProcess | undefined
  try {
    // Not in the settings that others start servers of their own with: one port takes one server.
    const told = options.healthPort === undefined ? {} : { HEALTH_PORT: String(options.healthPort) }
    if (options.server !== false)
      server = await startServer({ ...serverEnvironment, ...told }, { dataDir, log })
  } catch (error) {
    await local.stop()
    throw error
  }
  return {
    local: file,
    localFile,
    wallets: local.chain.accounts,
    serverEnvironment,
    async stop() {
      await server?.stop()
      await local.stop()
    },
  }
}

function environmentOfServer(
  local: LocalCloud,
  at: { dataDir: string; port: number; routerPort: number; apiUrl: string },
): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PORT: String(at.port),
    ROUTER_PORT: String(at.routerPort),
    API_URL: at.apiUrl,
    DATA_DIR: at.dataDir,
    CLOCK_FILE: join(at.dataDir, 'clock'),
    WEBHOOK_LOOPBACK: 'allow',
    DATABASE_URL: local.database.url,
    TWILIO_ACCOUNT_SID: local.twilio.accountSid,
    TWILIO_AUTH_TOKEN: local.twilio.authToken,
    TWILIO_VERIFY_SERVICE_SID: local.twilio.serviceSid,
    PRIVACY_CONTACT: 'privacy@example.com',
    TWILIO_BASE_URL: local.twilio.url,
    VULTR_API_KEY: local.vultr.apiKey,
    VULTR_BASE_URL: local.vultr.url,
    VULTR_ENVIRONMENT: 'local',
    OPERATORS: `local=${tokenHash(operatorToken(at.dataDir)).toString('hex')}`,
    STRIPE_SECRET_KEY: local.stripe.secretKey,
    STRIPE_WEBHOOK_SECRET: local.stripe.webhookSecret,
    STRIPE_BASE_URL: local.stripe.url,
    // What the edge says about its visitors is believed.
    CLIENT_ADDRESS_HEADER: 'CF-Connecting-IP',
    AGENT_DOMAIN: local.cloudflare.zoneName,
    CLOUDFLARE_API_TOKEN: local.cloudflare.apiToken,
    CLOUDFLARE_ZONE_ID: local.cloudflare.zoneId,
    CLOUDFLARE_ZONE_NAME: local.cloudflare.zoneName,
    CLOUDFLARE_FALLBACK_ORIGIN: local.cloudflare.fallbackOrigin,
    CLOUDFLARE_BASE_URL: local.cloudflare.url,
    DNS_SERVERS: `${local.cloudflare.dns.address}:${local.cloudflare.dns.port}`,
    EDGE_PORT: String(local.cloudflare.edge.port),
    EDGE_CA_FILE: local.cloudflare.edge.caFile,
    CHAIN_ID: String(local.chain.chainId),
    CHAIN_RPC_URL: local.chain.rpcUrl,
    CHAIN_NAME: 'local',
    DEPOSIT_ADDRESS: TREASURY,
    DEPOSIT_TOKEN_ADDRESS: local.chain.token.address,
    DEPOSIT_START_BLOCK: '0',
    DEPOSIT_POLL_SECONDS: '1',
    MACHINE_NODE_FILE: process.execPath,
    MACHINE_RUNNER_FILE: join(root, 'packages/runner/dist/runner.cjs'),
    MACHINE_NPM_FILE: join(root, 'packages/runner/dist/npm.tgz'),
  }
}

function operatorToken(dataDir: string): string {
  const file = join(dataDir, OPERATOR_FILE)
  const known = readKeptFile(file)?.trim()
  if (known) return known
  const token = newToken('o').reveal()
  keepFile(file, `${token}\n`)
  return token
}

export interface ServerProcess {
  process: ChildProcess
  stop(): Promise<void>
}

/** Starts the server and waits until it answers; its log goes to a file, its last words into the error. */
export async function startServer(
  environment: Record<string, string>,
  { dataDir, log, args = [] }: { dataDir: string; log: (line: string) => void; args?: string[] },
): Promise<ServerProcess> {
  const logFile = join(dataDir, 'server.log')
  const output = openSync(logFile, 'a', 0o600)
  const { size: before } = statSync(logFile)
  let stopping = false
  let healthy = false
  const launch = (): { process: ChildProcess; exited: Promise<void> } => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args, SERVER], {
      // A group of its own: Ctrl-C reaches us first, and we stop things in order.
      detached: true,
      stdio: ['ignore', output, output],
      env: { PATH: process.env.PATH ?? '', TMPDIR: process.env.TMPDIR, ...environment },
    })
    if (child.pid) keepFile(join(dataDir, SERVER_FILE), JSON.stringify(identifyProcess(child.pid) ?? null))
    const exited = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve()
        if (stopping || !healthy) return
        log(`The server ended (${signal ?? code}); starting it again. Its log: ${logFile}`)
        setTimeout(() => {
          if (!stopping) running = launch()
        }, RESTART_PAUSE_MS)
      })
    })
    return { process: child, exited }
  }
  let running = launch()
  const deadline = Date.now() + START_SECONDS * 1000
  while (!healthy) {
    healthy = await fetch(`${environment.API_URL}/v1/health`)
      .then((response) => response.ok)
      .catch(() => false)
    if (healthy) break
    const { exitCode, signalCode } = running.process
    if (exitCode !== null || signalCode !== null || Date.now() > deadline) {
      stopping = true
      running.process.kill('SIGKILL')
      throw new StartError(
        `The server did not start.\n${lastWords(logFile, before)}`,
        `Its whole log: ${logFile}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return {
    get process() {
      return running.process
    },
    async stop() {
      stopping = true
      const { process: child, exited } = running
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS)
      await exited
      clearTimeout(patience)
    },
  }
}

/** A server that outlived a killed `npm start` holds the ports and works on the same data: it goes first. */
async function endLeftServer(dataDir: string, log: (line: string) => void): Promise<void> {
  const left: ProcessIdentity | null = JSON.parse(readKeptFile(join(dataDir, SERVER_FILE)) ?? 'null')
  if (!left || !isRunning(left)) return
  log('A server of an earlier start still runs on this data; stopping it.')
  signal(left.pid, 'SIGTERM')
  const ended = await waitUntil(() => !isRunning(left), { withinMs: STOP_PATIENCE_MS })
  if (!ended) signal(left.pid, 'SIGKILL')
}

function lastWords(logFile: string, since: number): string {
  const lines = readFileSync(logFile).subarray(since).toString().trim().split('\n').slice(-5)
  return lines.map((line) => `  ${line}`).join('\n')
}

/** A port from the environment. */
export function portFrom(variable: string, fallback: number, command = 'npm start'): number {
  const value = process.env[variable]
  if (!value) return fallback
  const port = Number(value)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new StartError(
    `${variable}=${value} is not a port.`,
    `Use a number from 1024 to 65535: ${variable}=${fallback || 8787} ${command}`,
  )
}

/** The port itself when it is free, or a free one for 0; taken is said before anything has been started. */
async function claimPort(port: number, variable: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new StartError(
              `Port ${port} is taken by another program.`,
              `Stop that program, or choose another port: ${variable}=${port + 10} npm start`,
            )
          : error.code === 'EACCES'
            ? new StartError(
                `Port ${port} may not be used by this user.`,
                `Choose a port above 1023: ${variable}=8787 npm start`,
              )
            : error,
      )
    })
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address()
      const free = typeof address === 'object' && address ? address.port : port
      probe.close(() => resolve(free))
    })
  })
}
