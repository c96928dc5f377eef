import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { lockFolder } from '@agentctl/localcloud/folder-lock.ts'
import { Hindrance } from '@agentctl/localcloud/hindrance.ts'
import { jsonLog } from '@agentctl/server/platform/log.ts'
import { Secret } from '@agentctl/server/platform/secret.ts'
import { type Machines, openMachines } from '@agentctl/server/providers/machines/vultr.ts'
import { openTransport } from '@agentctl/server/providers/transport.ts'
import { type CloudOptions, StartError, startCloud, startServer } from './cloud.ts'
import { readSmokeSettings, type SmokeSettings } from './smoke-settings.ts'

const USAGE = `Usage: npm run live-smoke

  Deploys an agent on a real machine at Vultr, stops it to a snapshot, restores
  it, and deletes everything, with the server, the client and the CLI of this
  checkout. Whatever ends it, nothing of it is left; what a killed one leaves,
  the next one finds by its tag.

Environment:
  VULTR_API_KEY         the account that pays
  LIVE_SMOKE_URL        an https address that machines at Vultr reach and that
                        leads to PORT of this machine
  LIVE_SMOKE_MAX_USD    what it may cost at most (0.10)
  PORT                  8797
  VULTR_BASE_URL        https://api.vultr.com
  AGENTCTL_DATA_DIR     .agentctl/live-smoke; gone afterwards
  DATABASE_URL          uses this database instead of one of its own
`

/** Its own environment at the provider: what carries its tag is nobody else's. */
const ENVIRONMENT = 'live-smoke'
const PLAN = 'vc2-1c-1gb'
/** The machine and its restored successor, an hour each, which is the least that is billed of 672 in a month. */
const MACHINE_HOURS = 2
const MONTH_HOURS = 672
/** A disk of 25 GB for a begun hour, at $0.05 a GB and month: more than a snapshot of it takes. */
const SNAPSHOT_MICROS = 2000n
/** Longer than a boot, a copy and a restore at their slowest; then it ends, so that it cannot go on costing. */
const WITHIN_MS = 75 * 60_000
const GONE_WITHIN_MS = 120_000
const LOOK_MS = 500

const root = resolve(import.meta.dirname, '..')
const dataDir = resolve(root, process.env.AGENTCTL_DATA_DIR || '.agentctl/live-smoke')
const say = (line: string): void => void process.stderr.write(`${line}\n`)

async function main(): Promise<number> {
  if (process.argv.length > 2) {
    process.stdout.write(USAGE)
    return process.argv[2] === '--help' ? 0 : 2
  }
  let settings: SmokeSettings | undefined
  try {
    settings = readSmokeSettings(process.env)
  } catch (error) {
    tell(error)
    return 2
  }
  if (!settings) {
    say(`Skipped: VULTR_API_KEY and LIVE_SMOKE_URL not set. Nothing was asked of Vultr.\n\n${USAGE}`)
    return 0
  }
  const { key, apiUrl, baseUrl, allowedUsd, port, databaseUrl } = settings
  const place = { dataDir, port, routerPort: 0, databaseUrl, log: say }
  const transport = openTransport({ processors: [baseUrl], infrastructure: [] })
  const account = { baseUrl, apiKey: new Secret(key), environment: ENVIRONMENT }
  const machines = openMachines({ vultr: account }, { transport, log: jsonLog((line) => say(line.trim())) })
  const end = endings()
  await takePlace(place)
  try {
    await remove(machines, 'An earlier run left')
    const monthly = await machines.monthlyMicros(PLAN)
    if (monthly === undefined) throw new Error(`Vultr tells no price of ${PLAN}.`)
    const costMicros = (monthly * BigInt(MACHINE_HOURS)) / BigInt(MONTH_HOURS) + SNAPSHOT_MICROS
    const cost = (Number(costMicros) / 1_000_000).toFixed(3)
    if (Number(costMicros) > allowedUsd * 1_000_000) {
      say(`error: It would cost about $${cost}, more than LIVE_SMOKE_MAX_USD=${allowedUsd}.`)
      return 1
    }
    say(`It costs about $${cost}, at most $${allowedUsd}.`)
    const serverSettings = {
      VULTR_API_KEY: key,
      VULTR_BASE_URL: baseUrl,
      VULTR_ENVIRONMENT: ENVIRONMENT,
      API_URL: apiUrl,
      WARM_MACHINES: '',
    }
    return await smoke(place, serverSettings, machines, end)
  } finally {
    await remove(machines, 'Removed')
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
    await transport.close()
  }
}

/** Alone with its tag. A run that was killed left a server, which orders again whatever is removed: it ends first. */
async function takePlace(place: CloudOptions): Promise<void> {
  const wasThere = existsSync(dataDir)
  // Until this process ends.
  await lockFolder(dataDir)
  if (!wasThere) return
  const left = await startCloud({ ...place, server: false })
  await left.stop()
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
}

type End = ReturnType<typeof endings>

/** Ctrl-C and the like, and the end of its time: whatever is under way is left, and everything removed. */
function endings() {
  let child: ChildProcess | undefined
  let code: number | undefined
  const endWith = (why: string, how: number) => (): void => {
    if (code !== undefined) return
    code = how
    say(`\n${why}; removing everything …`)
    child?.kill('SIGTERM')
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, endWith('Interrupted', 130))
  setTimeout(endWith('It took too long', 1), WITHIN_MS).unref()
  return {
    get code() {
      return code
    },
    watch(started: ChildProcess): void {
      child = started
    },
  }
}

async function smoke(
  place: CloudOptions,
  settings: Record<string, string>,
  machines: Machines,
  end: End,
): Promise<number> {
  const cloud = await startCloud({ ...place, server: false })
  try {
    // Reached from outside while it runs: nobody there is an operator, and nobody moves its clock.
    const { CLOCK_FILE: _, OPERATORS: __, ...environment } = { ...cloud.serverEnvironment, ...settings }
    const server = await startServer(environment, { dataDir, log: say })
    try {
      return await journey(
        cloud.wallets[0]?.privateKey ?? '',
        `http://127.0.0.1:${place.port}`,
        machines,
        end,
      )
    } finally {
      // Before anything is removed: it would order again what is missing.
      await server.stop()
    }
  } finally {
    await cloud.stop()
  }
}

async function journey(privateKey: string, apiUrl: string, machines: Machines, end: End): Promise<number> {
  const env = {
    AGENTCTL_API_URL: apiUrl,
    AGENTCTL_CONFIG_DIR: join(dataDir, 'cli'),
    AGENTCTL_PRIVATE_KEY: privateKey,
  }
  const steps: { args: string[]; after: { machines: number; snapshots: number } }[] = [
    { args: ['login', '--wallet', '--accept-terms'], after: { machines: 0, snapshots: 0 } },
    { args: ['billing', 'deposit', '25', '--yes'], after: { machines: 0, snapshots: 0 } },
    {
      args: ['deploy', 'examples/hello-agent', '--size', 'nano', '--yes'],
      after: { machines: 1, snapshots: 0 },
    },
    { args: ['agents', 'stop', 'hello'], after: { machines: 0, snapshots: 1 } },
    { args: ['agents', 'start', 'hello'], after: { machines: 1, snapshots: 0 } },
    { args: ['agents', 'delete', 'hello', '--yes'], after: { machines: 0, snapshots: 0 } },
  ]
  for (const { args, after } of steps) {
    if (end.code !== undefined) return end.code
    say(`$ agentctl ${args.join(' ')}`)
    const begun = performance.now()
    const code = await runCli(args, env, end)
    if (end.code !== undefined) return end.code
    if (code !== 0) {
      say(`error: This step ended with exit code ${code}.`)
      return 1
    }
    const counts = await settled(machines, after, end)
    if (end.code !== undefined) return end.code
    if (counts.machines !== after.machines || counts.snapshots !== after.snapshots) {
      say(`error: At Vultr there are ${JSON.stringify(counts)}; expected ${JSON.stringify(after)}.`)
      return 1
    }
    say(`  ${((performance.now() - begun) / 1000).toFixed(1)} s; at Vultr: ${JSON.stringify(counts)}\n`)
  }
  say('Every step worked.')
  return 0
}

/** What is there at the provider once it is as expected, or the time is up. */
async function settled(machines: Machines, expected: { machines: number; snapshots: number }, end: End) {
  const deadline = Date.now() + GONE_WITHIN_MS
  for (;;) {
    const [ours, snapshots] = [await machines.listOurs(), await machines.listOurSnapshots()]
    const counts = { machines: ours.length, snapshots: snapshots.length }
    const isSo = counts.machines === expected.machines && counts.snapshots === expected.snapshots
    if (isSo || Date.now() > deadline || end.code !== undefined) return counts
    await new Promise((later) => setTimeout(later, LOOK_MS))
  }
}

/** Deletes all that carries the tag, until the provider lists none of it any more. */
async function remove(machines: Machines, found: string): Promise<void> {
  const deadline = Date.now() + GONE_WITHIN_MS
  const told = new Set<string>()
  for (;;) {
    const [ours, snapshots] = [await machines.listOurs(), await machines.listOurSnapshots()]
    if (ours.length + snapshots.length === 0) return
    if (Date.now() > deadline) {
      throw new Error(
        `Vultr does not let go of ${[...ours, ...snapshots].map(({ id }) => id).join(', ')}: delete them by hand.`,
      )
    }
    for (const [kind, all] of [
      ['machine', ours],
      ['snapshot', snapshots],
    ] as const) {
      for (const { id, label } of all) {
        if (!told.has(id)) say(`${found}: ${kind} ${label} (${id})`)
        told.add(id)
        // A machine that boots, or a copy under way, may not let itself be deleted yet.
        await (kind === 'machine' ? machines.delete(id) : machines.deleteSnapshot(id)).catch(() => {})
      }
    }
    await new Promise((later) => setTimeout(later, LOOK_MS))
  }
}

function runCli(args: string[], env: Record<string, string>, end: End): Promise<number> {
  return new Promise((done) => {
    const child = spawn(join(root, 'agentctl'), args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    })
    end.watch(child)
    child.on('close', (code) => done(code ?? 1))
  })
}

function tell(error: unknown): void {
  say(`error: ${error instanceof Error ? error.message : String(error)}`)
  if (error instanceof StartError || error instanceof Hindrance) say(`  ${error.fix}`)
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    tell(error)
    process.exit(1)
  },
)
