import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { freePort } from '@agentctl/localcloud/free-port.ts'
import { keepFile } from '@agentctl/localcloud/kept-file.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { type Role, roles } from '@agentctl/server/platform/config.ts'
import { openPool, type Pool } from '@agentctl/server/platform/db.ts'
import { startTestS3, type TestS3 } from '@agentctl/server/providers/blobs/test-s3.ts'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { type Balancer, balance } from './balancer.ts'

const MAIN = join(dirname(dirname(import.meta.dirname)), 'packages/server/src/main.ts')
const NODE_OPTIONS = ['--disable-warning=ExperimentalWarning', MAIN]
/** Until a new server is ready, on a machine that does much else. */
const READY_MS = 120_000

export interface Server {
  /** Such as api-1; no number comes twice. */
  name: string
  role: Role
  port: number
  child: ChildProcess
}

/** Files of keys, newest last, that all servers have. */
export interface KeyFiles {
  KEYRING_FILE: string
  PEPPER_FILE: string
  LEDGER_KEY_FILE: string
}

/**
 * Servers of each role as production has them: a disk of its own for each, three logins to the database, none of them
 * its owner's, contents in a bucket, and a balancer in front of the apis and one in front of the routers.
 */
export class Platform {
  readonly cloud: Cloud
  readonly s3: TestS3
  readonly folder: string
  readonly keys: KeyFiles
  readonly servers: Server[] = []
  /** As the owner of the tables, past row-level security. */
  sql: Pool
  #ownerUrl: string
  readonly #balancers = new Map<Role, Balancer>()
  readonly #launched = new Map<Role, number>()

  private constructor(folder: string, cloud: Cloud, s3: TestS3) {
    this.folder = folder
    this.cloud = cloud
    this.s3 = s3
    this.#ownerUrl = cloud.serverEnvironment.DATABASE_URL ?? ''
    this.sql = openPool(this.#ownerUrl, { connectionsMax: 2 })
    this.keys = {
      KEYRING_FILE: newKeyFile(folder, 'keyring.json', 'k1'),
      PEPPER_FILE: newKeyFile(folder, 'pepper.json', '1'),
      LEDGER_KEY_FILE: newKeyFile(folder, 'ledger-keys.json', 'l1'),
    }
  }

  static async start(folder: string, ofEach = 2): Promise<Platform> {
    const [cloud, s3] = await Promise.all([
      startCloud({
        dataDir: join(folder, 'cloud'),
        port: 0,
        routerPort: 0,
        log: () => {},
        server: false,
      }),
      startTestS3(),
    ])
    const platform = new Platform(folder, cloud, s3)
    writeFileSync(join(folder, 'migrate.log'), platform.run('--migrate'))
    for (const role of ['agentctl_app', 'agentctl_jobs', 'agentctl_operator']) {
      await platform.sql.unsafe(`alter role ${role} login password 'of-${role}'`)
    }
    for (const [role, port] of [
      ['api', cloud.serverEnvironment.PORT],
      ['router', cloud.serverEnvironment.ROUTER_PORT],
    ] as const) {
      platform.#balancers.set(role, await balance(Number(port), []))
    }
    await platform.fill(ofEach)
    return platform
  }

  of(role: Role): Server[] {
    return this.servers.filter((server) => server.role === role)
  }

  /** Connections that the balancer has open to a server. */
  open({ role, port }: Server): number {
    return this.#balancers.get(role)?.open(port) ?? 0
  }

  /** New connections go to this server alone, until servers come or go. */
  lead(server: Server): void {
    const balancer = this.#balancers.get(server.role)
    if (balancer) balancer.ports = [server.port]
  }

  /** Ends servers at once, in the middle of whatever they do, and takes them from the balancers as Kubernetes would. */
  async kill(...victims: Server[]): Promise<void> {
    for (const victim of victims) this.servers.splice(this.servers.indexOf(victim), 1)
    await Promise.all(victims.map((victim) => end(victim, 'SIGKILL')))
    this.#spread()
  }

  /** Starts what is missing until there are so many of each; resolves when they are ready. */
  async fill(ofEach: number): Promise<void> {
    const missing = roles.flatMap((role) =>
      Array<Role>(Math.max(0, ofEach - this.of(role).length)).fill(role),
    )
    this.servers.push(...(await Promise.all(missing.map((role) => this.#launch(role)))))
    this.#spread()
  }

  /** From now on servers start on another database, which has the same logins; those that run stay where they are. */
  async moveTo(ownerUrl: string): Promise<void> {
    await this.sql.end({ timeout: 5 })
    this.#ownerUrl = ownerUrl
    this.sql = openPool(ownerUrl, { connectionsMax: 2 })
  }

  /** One of the commands of the server that is no role. */
  run(command: '--migrate' | '--reseal'): string {
    return execFileSync(process.execPath, [...NODE_OPTIONS, command], {
      env: {
        PATH: process.env.PATH,
        DATA_DIR: this.folder,
        ...(command === '--migrate'
          ? { DATABASE_URL: this.#ownerUrl }
          : { ...this.keys, DATABASE_JOBS_URL: this.#urlAs('agentctl_jobs') }),
      },
      encoding: 'utf8',
    })
  }

  async stop(): Promise<void> {
    for (const balancer of this.#balancers.values()) await balancer.close()
    await Promise.all(this.servers.map((server) => end(server, 'SIGTERM')))
    await this.sql.end({ timeout: 5 })
    await this.cloud.stop()
    await this.s3.stop()
  }

  #spread(): void {
    for (const [role, balancer] of this.#balancers) balancer.ports = this.of(role).map(({ port }) => port)
  }

  async #launch(role: Role): Promise<Server> {
    const number = (this.#launched.get(role) ?? 0) + 1
    this.#launched.set(role, number)
    const name = `${role}-${number}`
    const dataDir = join(this.folder, name)
    mkdirSync(dataDir)
    const [port, healthPort] = await Promise.all([freePort(), freePort()])
    const logFile = `${dataDir}.log`
    const log = openSync(logFile, 'a')
    const child = spawn(process.execPath, [...NODE_OPTIONS, `--roles=${role}`], {
      stdio: ['ignore', log, log],
      env: this.#environmentOf(role, { dataDir, port, healthPort }),
    })
    const isReady = async (): Promise<boolean> =>
      child.exitCode !== null ||
      fetch(`http://127.0.0.1:${healthPort}/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    const inTime = await waitUntil(isReady, { withinMs: READY_MS, everyMs: 50 })
    if (!inTime || child.exitCode !== null) {
      throw new Error(`${name} is not ready: ${readFileSync(logFile, 'utf8').slice(-2000)}`)
    }
    return { name, role, port, child }
  }

  #environmentOf(
    role: Role,
    at: { dataDir: string; port: number; healthPort: number },
  ): Record<string, string> {
    const { DATABASE_URL: _, ...shared } = this.cloud.serverEnvironment
    const { bucket } = this.s3
    return {
      ...shared,
      ...this.keys,
      PATH: process.env.PATH ?? '',
      DATA_DIR: at.dataDir,
      PORT: String(at.port),
      ROUTER_PORT: String(at.port),
      HEALTH_PORT: String(at.healthPort),
      // An address has the port of the balancer in it, whatever the port of a router is.
      AGENT_URL_TEMPLATE: `http://{label}.agents.localhost:${shared.ROUTER_PORT}`,
      LEASE_SECONDS: '3',
      DATABASE_APP_URL: this.#urlAs('agentctl_app'),
      DATABASE_JOBS_URL: this.#urlAs('agentctl_jobs'),
      DATABASE_OPERATOR_URL: this.#urlAs('agentctl_operator'),
      BLOBS_S3_ENDPOINT: bucket.endpoint,
      BLOBS_S3_BUCKET: bucket.bucket,
      BLOBS_S3_REGION: bucket.region,
      BLOBS_S3_ACCESS_KEY_ID: bucket.accessKeyId,
      BLOBS_S3_SECRET_ACCESS_KEY: bucket.secretAccessKey.reveal(),
      ...(role === 'worker' ? {} : { VULTR_API_KEY: '' }),
    }
  }

  #urlAs(role: string): string {
    const url = new URL(this.#ownerUrl)
    url.username = role
    url.password = `of-${role}`
    return url.href
  }
}

export const newKey = (): string => randomBytes(32).toString('base64')

function newKeyFile(folder: string, name: string, id: string): string {
  const path = join(folder, name)
  keepFile(path, JSON.stringify({ keys: [{ id, key: newKey() }] }))
  return path
}

async function end({ child }: Server, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}
