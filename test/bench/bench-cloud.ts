import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'

const root = dirname(dirname(import.meta.dirname))

export interface BenchCloud {
  cloud: Cloud
  dataDir: string
  /** Runs the real CLI as a process; `ms` is the whole of it, from spawn to exit. */
  cli(...args: string[]): Promise<{ stdout: string; ms: number }>
  /** Writes a folder to deploy; a file that is already there is replaced. */
  folder(name: string, files: Readonly<Record<string, string>>): string
  stop(): Promise<void>
}

/** The whole local cloud in a folder of its own, with somebody logged in who can pay. */
export async function benchCloud(options: { healthPort?: number } = {}): Promise<BenchCloud> {
  const dataDir = mkdtempSync(join(tmpdir(), 'agentctl-bench-cloud-'))
  const cloud = await startCloud({ ...options, dataDir, port: 0, routerPort: 0, log: () => {} })
  const [wallet] = cloud.wallets
  const env = {
    ...process.env,
    AGENTCTL_API_URL: cloud.local.apiUrl,
    AGENTCTL_CONFIG_DIR: join(dataDir, 'cli'),
    XDG_CACHE_HOME: join(dataDir, 'cache'),
    AGENTCTL_PRIVATE_KEY: wallet?.privateKey ?? '',
    NO_COLOR: '1',
  }
  const bench: BenchCloud = {
    cloud,
    dataDir,
    cli: (...args) =>
      new Promise((resolve, reject) => {
        const since = performance.now()
        const child = spawn(process.execPath, [join(root, 'packages/cli/dist/agentctl.cjs'), ...args], {
          env,
          stdio: ['ignore', 'pipe', 'pipe'],
        })
        let stdout = ''
        let stderr = ''
        child.stdout.on('data', (chunk: Buffer) => {
          stdout += chunk
        })
        child.stderr.on('data', (chunk: Buffer) => {
          stderr += chunk
        })
        child.once('error', reject)
        child.once('close', (code) => {
          const ms = performance.now() - since
          if (code === 0) resolve({ stdout, ms })
          else reject(new Error(`agentctl ${args.join(' ')} ended with ${code}\n${stderr}`))
        })
      }),
    folder(name, files) {
      const folder = join(dataDir, 'folders', name)
      mkdirSync(folder, { recursive: true })
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), text)
      }
      return folder
    },
    async stop() {
      await cloud.stop()
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
  try {
    await bench.cli('login', '--wallet', '--accept-terms')
    await bench.cli('billing', 'deposit', '1', '--yes')
  } catch (error) {
    await bench.stop()
    throw error
  }
  return bench
}
