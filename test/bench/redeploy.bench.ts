import { type BenchCloud, benchCloud } from './bench-cloud.ts'
import { type Figure, median, timeOf } from './figures.ts'

const ROUNDS = 11
const FILES = 40

/** What the CLI prints with --json, as far as it is read here. */
interface Deployed {
  upload: { uploadedFiles: number }
  timings: Record<string, number>
}

/** Where the time of a redeploy goes: one file of an agent changes, and the real CLI deploys its folder again. */
export default async function redeploy(): Promise<Figure[]> {
  const bench = await benchCloud()
  try {
    const parts = new Map<string, number[]>()
    const note = (name: string, ms: number): void => {
      parts.set(name, [...(parts.get(name) ?? []), ms])
    }
    const ratios: number[] = []
    for (let round = 0; round <= ROUNDS; round++) {
      const { stdout, ms } = await bench.cli('deploy', change(bench, round), '--yes', '--json')
      const { upload, timings }: Deployed = JSON.parse(stdout)
      const startMs = timeOf({ file: process.execPath, args: ['-e', '0'] })
      // The first deploy makes the machine.
      if (round === 0) continue
      if (upload.uploadedFiles !== 1)
        throw new Error(`${upload.uploadedFiles} files travelled instead of one.`)
      const { hashMs = 0, uploadMs = 0, machineMs = 0, fetchMs = 0, installMs = 0 } = timings
      const { startMs: launchMs = 0, healthMs = 0, switchMs = 0, totalMs = 0 } = timings
      note('hash', hashMs)
      note('upload (with the request to deploy)', uploadMs)
      note('operation (from the request to the first word of the machine)', machineMs)
      note('fetch', fetchMs)
      note('install', installMs)
      note('start', launchMs)
      note('health (from spawn on)', healthMs)
      note('switch', switchMs)
      note('total (from the request until it serves)', totalMs)
      note('the whole process of the CLI', ms)
      ratios.push(totalMs / healthMs)
      note('node -e 0, for comparison', startMs)
    }
    return [
      {
        name: 'redeploy, from the request until it serves ÷ from spawn to healthy',
        value: median(ratios),
        unit: '×',
      },
      ...[...parts].map(
        ([name, values]): Figure => ({ name: `redeploy: ${name}`, value: median(values), unit: 'ms' }),
      ),
    ]
  } finally {
    await bench.stop()
  }
}

function change({ folder }: BenchCloud, round: number): string {
  const others = Array.from({ length: FILES }, (_, at) => [`lib/part-${at}.js`, `module.exports = ${at}\n`])
  return folder('changing', {
    ...Object.fromEntries(others),
    'agent.json': JSON.stringify({
      name: 'changing',
      size: 'nano',
      install: 'true',
      start: 'node index.js',
      health: { path: '/' },
    }),
    'index.js': `
      require('node:http').createServer((_, response) => response.end('${round}')).listen(process.env.PORT)`,
  })
}
