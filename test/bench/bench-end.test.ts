import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identifyProcess, parentOf } from '@agentctl/localcloud/process-identity.ts'
import { processesOf } from '@agentctl/localcloud/stray-processes.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { expect, onTestFinished, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

test.each([
  ['SIGKILL', 'the bench'],
  ['SIGTERM', 'what npm runs'],
  ['SIGKILL', 'what npm runs'],
] as const)(
  '%s of %s leaves no cloud behind',
  async (signal, victim) => {
    const folder = mkdtempSync(join(tmpdir(), 'agentctl-bench-end-'))
    // PostgreSQL runs as another user and passes through.
    chmodSync(folder, 0o711)
    const starter = spawn(process.execPath, [join(root, 'scripts/run.mjs'), 'scripts/bench.ts', 'redeploy'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: folder, npm_lifecycle_event: 'bench' },
    })
    let said = ''
    for (const stream of [starter.stdout, starter.stderr]) stream.on('data', (text) => (said += text))
    onTestFinished(() => {
      starter.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    })
    const inside = (path: string, start: string): string =>
      join(path, existsSync(path) ? (readdirSync(path).find((name) => name.startsWith(start)) ?? '-') : '-')
    const left = () => inside(folder, 'agentctl-bench-')
    const isUp = () => existsSync(join(inside(left(), 'agentctl-bench-cloud-'), 'server-process.json'))
    expect(await waitUntil(isUp, { withinMs: 60_000 }), said).toBe(true)
    const ours = left()
    const processes = processesOf(ours)
    // PostgreSQL, the chain and the server; the machines come and go.
    expect(processes.length).toBeGreaterThanOrEqual(3)
    const bench = processes.map(parentOf).find((pid) => parentOf(pid) === starter.pid)
    process.kill((victim === 'the bench' ? bench : starter.pid) ?? 0, signal)
    expect(await waitUntil(() => !existsSync(ours), { withinMs: 15_000 })).toBe(true)
    expect(processesOf(ours)).toEqual([])
    expect(bench).toBeGreaterThan(1)
    for (const pid of [...processes, bench ?? 0]) expect(identifyProcess(pid)).toBeUndefined()
  },
  90_000,
)
