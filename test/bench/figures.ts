import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** A measured ratio (or size), and the most that it may be. */
export interface Figure {
  name: string
  value: number
  unit: '×' | 'MB' | 'ms' | ''
  /** Undefined: reported, not judged. */
  atMost?: number
  atLeast?: number
}

export interface Command {
  file: string
  args: string[]
  env?: Record<string, string>
  cwd?: string
}

/** Milliseconds from the start of a process to its end. */
export function timeOf({ file, args, env, cwd }: Command): number {
  const started = process.hrtime.bigint()
  const ran = spawnSync(file, args, {
    stdio: 'ignore',
    env: { ...process.env, ...env },
    ...(cwd ? { cwd } : {}),
  })
  if (ran.error) throw ran.error
  if (ran.status !== 0) throw new Error(`${[file, ...args].join(' ')} ended with ${ran.status}`)
  return Number(process.hrtime.bigint() - started) / 1e6
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Runs the two in turn, so that a drift of the machine hits both; the median of the ratios of the pairs. */
export function pairedRatio(command: Command, limit: Command, rounds: number): { ratio: number; ms: number } {
  timeOf(command)
  timeOf(limit)
  const pairs = Array.from({ length: rounds }, () => ({ ms: timeOf(command), limitMs: timeOf(limit) }))
  return {
    ratio: median(pairs.map(({ ms, limitMs }) => ms / limitMs)),
    ms: median(pairs.map(({ ms }) => ms)),
  }
}

/** The most memory that the process ever held, in MB, as the system counted it. */
export function peakMegabytes(command: Command): number {
  const ran = spawnSync(command.file, command.args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      ...command.env,
      NODE_OPTIONS: `--require ${join(import.meta.dirname, 'print-peak.cjs')}`,
    },
  })
  const printed = /peak-kilobytes (\d+)/.exec(ran.stderr)
  if (!printed) throw new Error(`${command.args.join(' ')} told no peak`)
  return Number(printed[1]) / 1024
}
