import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { distribution, ensureBundle } from './bundle.ts'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

export interface Running {
  child: ChildProcess
  ended: Promise<Ran>
  /** Resolves when stdout and stderr together contain this. */
  said(text: string): Promise<void>
}

export interface Machine {
  /** Home, configuration and working directory of a user of their own. */
  home: string
  run(args: string[], options?: RunOptions): Promise<Ran>
  start(args: string[], options?: RunOptions): Running
  remove(): void
}

export interface RunOptions {
  env?: Record<string, string>
  input?: string
  cwd?: string
}

let installed: string | undefined

/** The program as users install it, outside of the checkout: inside, it would find the local cloud that runs there. */
function installedProgram(): string {
  if (installed === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'agentctl-program-'))
    cpSync(distribution, folder, { recursive: true })
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    installed = join(folder, 'agentctl.cjs')
  }
  return installed
}

/** A machine with nobody logged in; the real program runs on it as a process. */
export async function newMachine(env: Record<string, string> = {}): Promise<Machine> {
  await ensureBundle()
  const program = installedProgram()
  const children = new Set<ChildProcess>()
  const home = mkdtempSync(join(tmpdir(), 'agentctl-cli-'))
  const start = (args: string[], options: RunOptions = {}): Running => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd ?? home,
      env: {
        PATH: process.env.PATH ?? '',
        HOME: home,
        AGENTCTL_CONFIG_DIR: join(home, 'config'),
        ...env,
        ...options.env,
      },
      stdio: 'pipe',
    })
    children.add(child)
    child.on('close', () => children.delete(child))
    let stdout = ''
    let stderr = ''
    const listeners = new Set<() => void>()
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      stdout += part
      for (const listener of listeners) listener()
    })
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      stderr += part
      for (const listener of listeners) listener()
    })
    if (options.input !== undefined) child.stdin.end(options.input)
    const ended = new Promise<Ran>((resolve) =>
      child.on('close', (code) => resolve({ code, stdout, stderr })),
    )
    return {
      child,
      ended,
      said: (text) =>
        new Promise((resolve, reject) => {
          const look = () => {
            if ((stdout + stderr).includes(text)) resolve()
          }
          listeners.add(look)
          look()
          void ended.then(() => reject(new Error(`it ended without saying '${text}':\n${stdout}${stderr}`)))
        }),
    }
  }
  return {
    home,
    start,
    run: (args, options) => start(args, { input: '', ...options }).ended,
    remove() {
      for (const child of children) child.kill('SIGKILL')
      rmSync(home, { recursive: true, force: true })
    },
  }
}
