import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const root = dirname(import.meta.dirname)
const specs = resolve(process.env.AGENTCTL_SPECS_DIR || join(root, '../shared/specs'))
const LEFT_OUT = `What takes long is skipped here; AGENTCTL_THOROUGH=1 runs it too, as CI does:
  crash suite   all but kill -9 at each eighth point of deploys, money and erasure
  many servers  base backup, rotation of keys, the second journey
  live smoke    an end in the middle
  Vultr         nine of thirteen errors met at each call of an agent's life`

process.stdout.write(`Node ${process.version}, ${process.platform}-${process.arch}, user ${process.getuid?.() === 0 ? 'root' : process.getuid?.()}
${existsSync(specs) ? "The providers' documents are here: the stand-ins are checked against them." : "The providers' documents are not here: checks of the stand-ins against them are skipped."}
${process.env.AGENTCTL_THOROUGH === '1' ? 'All tests are run.' : LEFT_OUT}
`)
// All that tests leave behind is in one folder, which goes with them. PostgreSQL runs as another user and passes through.
const left = mkdtempSync(join(tmpdir(), 'agentctl-tests-'))
chmodSync(left, 0o711)
const report = join(left, 'report.json')
// Arguments name files to run, as with vitest itself.
const ran = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    // Hundreds of processes read the same sources.
    env: { ...process.env, TMPDIR: left, NODE_COMPILE_CACHE: join(left, 'compile-cache') },
  },
)
if (existsSync(report)) {
  const counts: {
    numPassedTests: number
    numFailedTests: number
    numPendingTests: number
    numTodoTests: number
    testResults: { status: string; assertionResults: unknown[] }[]
  } = JSON.parse(readFileSync(report, 'utf8'))
  // A file that does not even come to its tests is a failure that no test counts.
  const broken = counts.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length
  const skipped = counts.numPendingTests + counts.numTodoTests
  process.stdout.write(
    `${counts.numPassedTests} passed, ${counts.numFailedTests + broken} failed, ${skipped} skipped\n`,
  )
}
rmSync(left, { recursive: true, force: true, maxRetries: 5 })
process.exit(ran.status ?? 1)
