// Runs a script of this project on the Node that the project pins, after making sure that everything is installed and
// built. This file itself must run on whatever Node the machine has (20 or newer), before anything is installed.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const pinnedNode = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')

/** Newest change of a source that ends up in the two bundles. */
function newest(folder) {
  let at = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name.endsWith('.test.ts')) continue
    const path = join(folder, entry.name)
    at = Math.max(at, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
  }
  return at
}

function fail(what, next) {
  process.stderr.write(`\nerror: ${what}\n  ${next}\n`)
  process.exit(1)
}

function install() {
  const stamp = join(root, 'node_modules', '.installed')
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .update(process.platform + process.arch)
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  process.stderr.write('Installing packages (once) …\n')
  const started = Date.now()
  // On Windows npx is a batch file; this project is for Linux and macOS, so no shell stands between.
  const ran = spawnSync(
    'npx',
    ['--yes', packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'],
    {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, npm_config_update_notifier: 'false', CI: process.env.CI || 'true' },
      maxBuffer: 64 * 1024 * 1024,
    },
  )
  if (ran.error || ran.status !== 0) {
    // The installer itself runs on the machine's Node, which is older than what the packages then run on.
    const lines = `${ran.stdout ?? ''}${ran.stderr ?? ''}`
      .split('\n')
      .filter((line) => !/ WARN |^npm (warn|notice)/.test(line))
    const said = lines.join('\n').trim().split('\n').slice(-15).join('\n')
    fail(
      `The packages could not be installed.\n${said || ran.error?.message}`,
      'Check the network and the disk, then run the same command again; nothing is lost.',
    )
  }
  writeFileSync(stamp, wanted)
  process.stderr.write(`Installed in ${Math.round((Date.now() - started) / 1000)} s.\n`)
}

function nodeToUse() {
  if (existsSync(pinnedNode)) return pinnedNode
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath
  return fail(
    `There is no pinned Node for ${process.platform}-${process.arch}, and Node ${process.versions.node} is too old.`,
    'Install Node 24 and run the same command again.',
  )
}

function build(node) {
  const stamp = join(root, 'node_modules', '.built')
  const at = Math.max(
    ...['contract', 'cli', 'runner'].map((name) => newest(join(root, 'packages', name))),
    statSync(join(root, 'scripts/third-party-notices.ts')).mtimeMs,
  )
  const outputs = [
    join(root, 'packages/cli/dist/agentctl.cjs'),
    join(root, 'packages/runner/dist/runner.cjs'),
  ]
  if (
    outputs.every((path) => existsSync(path)) &&
    existsSync(stamp) &&
    Number(readFileSync(stamp, 'utf8')) === at
  )
    return
  const ran = spawnSync(node, [join(root, 'scripts/build.ts')], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (ran.status !== 0)
    fail(
      `The build failed.\n${ran.stdout}${ran.stderr}`,
      'This is a fault of this version; please report it.',
    )
  writeFileSync(stamp, String(at))
}

const [script, ...args] = process.argv.slice(2)
install()
const node = nodeToUse()
if (script !== 'scripts/build.ts') build(node)
const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(root, script), ...args], {
  stdio: 'inherit',
  // The bins of the packages, and the pinned Node first of all, for whatever the script starts.
  env: {
    ...process.env,
    PATH: `${dirname(node)}:${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`,
  },
})
// A terminal sends Ctrl-C to all of us; the script decides how to end, and we end after it.
process.on('SIGINT', () => {})
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
