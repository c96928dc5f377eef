import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parentOf } from '@agentctl/localcloud/process-identity.ts'
import type { Figure } from '../test/bench/figures.ts'

const folder = join(dirname(import.meta.dirname), 'test/bench')
// Words after `npm run bench --` choose by name.
const wanted = process.argv.slice(2)
const names = readdirSync(folder)
  .filter(
    (name) =>
      name.endsWith('.bench.ts') && (wanted.length === 0 || wanted.some((word) => name.includes(word))),
  )
  .sort()

// Whatever is started below has this folder in its environment, by which it is found and ended when we end, also by
// kill -9. PostgreSQL runs as another user and passes through.
const left = mkdtempSync(join(tmpdir(), 'agentctl-bench-'))
chmodSync(left, 0o711)
// The script that started us, and npm; where it is a shell that did, that may go before us.
const starters = process.env.npm_lifecycle_event === 'bench' ? [process.ppid, parentOf(process.ppid)] : []
spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'bench-end.ts'),
    left,
    ...[process.pid, ...starters].map(String),
  ],
  { detached: true, stdio: 'ignore' },
).unref()
process.env.TMPDIR = left

process.stdout.write(
  `Node ${process.version}, ${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(2)}\n`,
)
let missed = 0
for (const name of names) {
  process.stdout.write(`\n${name.replace('.bench.ts', '')}\n`)
  const bench: { default: () => Promise<Figure[]> } = await import(join(folder, name))
  for (const figure of await bench.default()) {
    const { value, unit, atMost, atLeast } = figure
    const ok = (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast)
    if (!ok) missed += 1
    const bound =
      atMost !== undefined ? `at most ${atMost}` : atLeast !== undefined ? `at least ${atLeast}` : ''
    process.stdout.write(
      `  ${ok ? ' ' : '!'} ${value.toFixed(2).padStart(8)} ${unit.padEnd(2)} ${bound.padEnd(14)} ${figure.name}\n`,
    )
  }
}
process.stdout.write(
  missed === 0 ? '\nEvery figure is within its bound.\n' : `\n${missed} figures miss their bound.\n`,
)
process.exit(missed === 0 ? 0 : 1)
