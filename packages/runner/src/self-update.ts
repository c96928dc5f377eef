import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import type { MachineLayout } from './machine-layout.ts'
import type { ServerClient } from './server-client.ts'

const run = promisify(execFile)

/** Downloads and verifies another runner and makes it the one that starts next. The agent notices nothing of it. */
export async function installRunner(
  layout: MachineLayout,
  server: ServerClient,
  sha256: string,
  ownSha256: string,
): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error('the hash of the desired runner is not a SHA-256')
  const file = join(layout.runners, `${sha256}.cjs`)
  if (!existsSync(file)) {
    const partial = `${file}.partial`
    const hash = createHash('sha256')
    const body = await server.stream('GET', `/v1/runner/assets/${sha256}`, undefined)
    const hashing = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk)
        done(null, chunk)
      },
    })
    await pipeline(body, hashing, createWriteStream(partial, { mode: 0o644 }))
    if (hash.digest('hex') !== sha256) {
      rmSync(partial, { force: true })
      throw new Error('the downloaded runner has another hash')
    }
    renameSync(partial, file)
  }
  // A program that cannot even say its version would leave the machine without a runner.
  await run(process.execPath, [file, '--version'], { timeout: 10_000, env: {} })
  const link = `${layout.currentRunner}.next`
  rmSync(link, { force: true })
  symlinkSync(basename(file), link)
  renameSync(link, layout.currentRunner)
  // The one that runs now stays as well, for an operator who wants to go back by hand.
  const kept = new Set([basename(file), `${ownSha256}.cjs`, basename(layout.currentRunner)])
  for (const name of await readdir(layout.runners)) {
    if (!kept.has(name)) await rm(join(layout.runners, name), { force: true })
  }
}
