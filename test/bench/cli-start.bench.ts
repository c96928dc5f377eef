import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Command, type Figure, pairedRatio, peakMegabytes } from './figures.ts'

const root = dirname(dirname(import.meta.dirname))
const ROUNDS = 25

/** What it costs to start the CLI, against the least that a Node process can cost. */
export default async function cliStart(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-bench-'))
  const env = { AGENTCTL_CONFIG_DIR: folder, NO_COLOR: '1' }
  const nothing: Command = { file: process.execPath, args: ['-e', '0'] }
  const cli = (...args: string[]): Command => ({
    file: process.execPath,
    args: [join(root, 'packages/cli/dist/agentctl.cjs'), ...args],
    env,
  })
  const figures: Figure[] = []
  for (const [args, atMost] of [
    [['--version'], 1.2],
    [['--help'], 1.2],
    [['deploy', '--help'], 1.8],
    [['commands', '--json'], 1.8],
    [['completion', 'bash'], 1.8],
  ] as const) {
    const { ratio, ms } = pairedRatio(cli(...args), nothing, ROUNDS)
    figures.push({
      name: `agentctl ${args.join(' ')} ÷ node -e 0 (${ms.toFixed(0)} ms)`,
      value: ratio,
      unit: '×',
      atMost,
    })
  }
  for (const arg of ['--version', '--help']) {
    figures.push({
      name: `agentctl ${arg}, peak memory`,
      value: peakMegabytes(cli(arg)),
      unit: 'MB',
      atMost: 50,
    })
  }
  rmSync(folder, { recursive: true })
  return figures
}
