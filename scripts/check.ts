import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { AgentFile } from '@agentctl/contract/agent-config.ts'
import { compiledTokenFile, compileToken } from '@agentctl/localcloud/token/compile.ts'

const root = dirname(import.meta.dirname)

/** Files that are made from others, and what they must hold; JSON is compared as values, its layout is free. */
const generated: { path: string; makes: string; holds: () => string }[] = [
  {
    path: compiledTokenFile,
    makes: 'node packages/localcloud/compile-token.ts',
    holds: compileToken,
  },
  {
    path: join(root, 'packages/cli/src/agent.schema.json'),
    makes: 'AgentFile.toJSONSchema() of packages/contract/src/agent-config.ts',
    holds: () => JSON.stringify(AgentFile.toJSONSchema()),
  },
]

interface Check {
  name: string
  run: () => Promise<{ ok: boolean; output: string }>
}

const tool = (name: string, ...args: string[]): Check => ({
  name: [name, ...args].join(' '),
  run: () => runTool(name, args),
})

const checks: Check[] = [
  tool('biome', 'check', '--error-on-warnings', '.'),
  // What it found out is kept: a check after a small change looks at what that change reaches.
  tool('tsc', '-p', '.', '--incremental', '--tsBuildInfoFile', 'node_modules/.cache/types'),
  tool('knip', '--no-progress'),
  tool(
    'vitest',
    ...['run', '--reporter=dot'],
    ...['test/architecture.test.ts', 'test/secrets.test.ts', 'test/policy/documents.test.ts'],
  ),
  { name: 'generated files are fresh', run: lookAtGeneratedFiles },
]

/** Two at a time, and what they said in the order of the list, so that two runs read alike. */
const running: Promise<{ ok: boolean; output: string; ms: number }>[] = []
for (const check of checks) {
  if (running.length >= 2) await running[running.length - 2]
  const started = performance.now()
  running.push(check.run().then((result) => ({ ...result, ms: performance.now() - started })))
}
let failed = 0
for (const [at, check] of checks.entries()) {
  const result = await running[at]
  if (!result) continue
  process.stdout.write(`${result.ok ? 'ok  ' : 'FAIL'} ${check.name} (${(result.ms / 1000).toFixed(1)} s)\n`)
  if (result.ok) continue
  failed += 1
  process.stdout.write(`${result.output.trim().replace(/^/gm, '       ')}\n\n`)
}
process.stdout.write(failed === 0 ? 'All checks passed.\n' : `${failed} of ${checks.length} checks failed.\n`)
process.exit(failed === 0 ? 0 : 1)

function runTool(name: string, args: string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(join(root, 'node_modules/.bin', name), args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk
    })
    child.once('error', (error) => resolve({ ok: false, output: error.message }))
    child.once('close', (code) => resolve({ ok: code === 0, output }))
  })
}

async function lookAtGeneratedFiles(): Promise<{ ok: boolean; output: string }> {
  const stale: string[] = []
  for (const { path, makes, holds } of generated) {
    const wanted = JSON.stringify(JSON.parse(holds()))
    if (JSON.stringify(JSON.parse(readFileSync(path, 'utf8'))) === wanted) continue
    stale.push(`${relative(root, path)} is not what its sources say. It is made by: ${makes}`)
  }
  return { ok: stale.length === 0, output: stale.join('\n') }
}
