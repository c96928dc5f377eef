import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../../../../test/database.ts'
import { readConfig } from '../platform/config.ts'
import { silentLog } from '../platform/log.ts'
import { s3Blobs } from '../providers/blobs/s3.ts'
import { startTestS3 } from '../providers/blobs/test-s3.ts'
import { openTransport } from '../providers/transport.ts'
import { filterUnowned } from './blob-store.ts'
import { openProgram, sharePrograms } from './shared-programs.ts'
import { sha256 } from './test-cloud.ts'

const database = await testDatabase()
const s3 = await startTestS3()
const transport = openTransport({ processors: [s3.bucket.endpoint], infrastructure: [] })
const folder = mkdtempSync(join(tmpdir(), 'agentctl-programs-'))
let now = new Date('2026-03-01T12:00:00Z')
afterAll(async () => {
  await transport.close()
  await s3.stop()
  rmSync(folder, { recursive: true })
})

/** A server that has just started on a disk of its own. */
function server(version: string) {
  const file = (name: string): string => {
    const path = join(folder, `${name}-${version}`)
    writeFileSync(path, `${name} ${version}`)
    return path
  }
  const config = {
    ...readConfig({ DATABASE_JOBS_URL: 'postgres://127.0.0.1/unused' }, ['router']),
    dataDir: mkdtempSync(join(folder, 'data-')),
    machineNodeFile: file('node'),
    machineRunnerFile: file('runner'),
    machineNpmFile: undefined,
    blobs: s3.bucket,
  }
  const blobs = s3Blobs({ s3: s3.bucket, transport, log: silentLog })
  return { config, db: database.db, blobs, log: silentLog, clock: { now: () => now } }
}

async function served(at: ReturnType<typeof server>, content: string): Promise<string | undefined> {
  const program = await openProgram(at, sha256(content))
  if (!program) return undefined
  const said = await text(program.chunks)
  expect(program.bytes).toBe(said.length)
  return said
}
const uploads = (): number => s3.seen.filter((method) => method === 'PUT').length

test('a server of another version serves what is gone with the disk of the one that ordered with it', async () => {
  const next = server('2')
  expect(await served(next, 'runner 1')).toBeUndefined()
  await Promise.all([sharePrograms(server('1')), sharePrograms(server('1'))])
  expect(uploads()).toBe(2)
  expect(await served(next, 'runner 1')).toBe('runner 1')
  expect(await served(next, 'node 1')).toBe('node 1')
  expect(await served(next, '../runner 1')).toBeUndefined()
})

test('what lies in the bucket is nobody’s stray file while a server may need it, and goes a week after the last', async () => {
  const first = server('1')
  const file = { accountId: 'programs', sha256: sha256('runner 1') }
  expect(await filterUnowned(database.db.jobs, [file])).toEqual([])
  now = new Date('2026-03-08T11:00:00Z')
  await sharePrograms(server('2'))
  expect(await served(server('2'), 'runner 1')).toBe('runner 1')
  now = new Date('2026-03-08T13:00:00Z')
  await sharePrograms(server('2'))
  expect(await served(server('2'), 'runner 1')).toBeUndefined()
  expect(await first.blobs.has('programs', file.sha256)).toBe(false)
  expect(await served(server('3'), 'runner 2')).toBe('runner 2')
})

test('a program that somebody took out of the bucket is put there again', async () => {
  const at = server('2')
  await at.blobs.delete('programs', sha256('node 2'))
  await sharePrograms(at)
  expect(await served(server('3'), 'node 2')).toBe('node 2')
})
