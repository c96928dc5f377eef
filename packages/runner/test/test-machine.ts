import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { routerHeader, sha256, TestServer } from './test-server.ts'

const run = promisify(execFile)
const packageFolder = join(import.meta.dirname, '..')

const bundles: string[] = []

/** For the end of a test file. */
export function removeBundles(): void {
  for (const folder of bundles.splice(0)) rmSync(folder, { recursive: true, force: true })
}

/** Bundles the runner anew into a folder of the test's own. */
export async function bundleRunner(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-runner-bundle-'))
  bundles.push(folder)
  const tsup = join(packageFolder, '../../node_modules/tsup/dist/cli-default.js')
  await run(process.execPath, [tsup, '--metafile', '--out-dir', folder], { cwd: packageFolder })
  return join(folder, 'runner.cjs')
}

/** Waits for a condition; its last value tells what was missing. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  seconds = 30,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`)
    await delay(20)
  }
}

/** A machine of the test: folders, the bundled runner in them, and a loop that starts it again as systemd would. */
export class TestMachine {
  readonly server = new TestServer()
  readonly folder = mkdtempSync(join(tmpdir(), 'agentctl-machine-'))
  readonly base = join(this.folder, 'base')
  readonly run = join(this.folder, 'run')
  output = ''
  runner: ChildProcess | undefined
  /** Set to false to see what happens while nobody starts the runner again. */
  supervised = true
  starts = 0
  readonly #bundle: string

  constructor(bundle: string) {
    this.#bundle = bundle
  }

  async boot(): Promise<void> {
    await this.server.start()
    const bytes = readFileSync(this.#bundle)
    this.server.desired.runner = { sha256: sha256(bytes) }
    mkdirSync(join(this.base, 'runner'), { recursive: true })
    mkdirSync(this.run, { recursive: true, mode: 0o700 })
    copyFileSync(this.#bundle, join(this.base, 'runner', `${sha256(bytes)}.cjs`))
    symlinkSync(`${sha256(bytes)}.cjs`, join(this.base, 'runner', 'current'))
    writeFileSync(join(this.run, 'bootstrap'), this.server.bootstrapToken, { mode: 0o600 })
    this.startRunner()
    await until('the first poll', () => this.server.polls.length > 0)
  }

  startRunner(): void {
    this.starts++
    const args = [
      join(this.base, 'runner', 'current'),
      '--api',
      this.server.url,
      '--base',
      this.base,
      '--run',
      this.run,
    ]
    const runner = spawn(process.execPath, args, {
      env: { ...process.env, RUNNER_ONLY: 'leaked' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.runner = runner
    for (const stream of [runner.stdout, runner.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString()
      })
    }
    runner.on('exit', () => {
      if (this.supervised && this.runner === runner) this.startRunner()
    })
  }

  async shutDown(): Promise<void> {
    this.supervised = false
    const runner = this.runner
    if (runner && runner.exitCode === null && runner.signalCode === null) {
      const ended = new Promise((resolve) => runner.once('exit', resolve))
      runner.kill('SIGTERM')
      await ended
    }
    await this.server.stop()
    this.endLeftAgents()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Agents whose runner was killed in a test live on, as they should; they go with the machine. */
  private endLeftAgents(): void {
    for (const pid of readdirSync('/proc')) {
      try {
        if (/^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(this.folder)) {
          process.kill(Number(pid), 'SIGKILL')
        }
      } catch {
        // It ended by itself, or is none of ours.
      }
    }
  }

  get port(): number {
    return this.server.polls.at(-1)?.port ?? 0
  }

  /** A request as the router would send it. */
  async fetch(path = '/', init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      ...init,
      headers: { ...routerHeader(this.server), ...(init.headers as Record<string, string> | undefined) },
    })
  }

  request(path: string, options: http.RequestOptions = {}): http.ClientRequest {
    return http.request({
      host: '127.0.0.1',
      port: this.port,
      path,
      agent: false,
      ...options,
      headers: { ...routerHeader(this.server), ...(options.headers as Record<string, string> | undefined) },
    })
  }

  async reported(releaseId: string, state: string, count = 1): Promise<void> {
    await until(
      `${count} × ${state} of ${releaseId}; reports: ${JSON.stringify(this.server.reports)}\n${this.output}`,
      () => this.server.reportsOf(releaseId).filter((one) => one === state).length >= count,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\nnow: ${JSON.stringify(this.server.reports)}\n${this.output}`)
    })
  }

  /** The process that serves, from what the runner remembers. */
  agentPid(): number {
    const record = JSON.parse(readFileSync(join(this.run, 'agent.json'), 'utf8'))
    return record.processes.find((one: { serving?: object }) => one.serving).identity.pid
  }
}
