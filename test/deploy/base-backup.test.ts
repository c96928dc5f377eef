import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'

const root = dirname(dirname(import.meta.dirname))
const script = join(root, 'deploy/backup/base-backup.sh')
const folder = mkdtempSync(join(tmpdir(), 'agentctl-backups-'))
afterAll(() => rmSync(folder, { recursive: true }))
beforeEach(() => {
  rmSync(folder, { recursive: true })
  mkdirSync(folder)
})

const DAY_MS = 86_400_000
const nameAt = (daysAgo: number): string =>
  new Date(Date.now() - daysAgo * DAY_MS).toISOString().replace(/[-:]|\.\d+/g, '')
const run = (args: string[], env: Record<string, string> = {}) =>
  spawnSync(script, args, { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } })

test('a backup is gone after seven days, whatever the date of its file', () => {
  const kept = [`${nameAt(0)}.tar.gz`, `${nameAt(6.9)}.tar.gz`, 'notes.txt', 'old.tar.gz']
  const gone = [`${nameAt(7.1)}.tar.gz`, `${nameAt(400)}.tar.gz`, `${nameAt(0)}.part`, `${nameAt(0)}.part.gz`]
  for (const name of [...kept, ...gone]) writeFileSync(join(folder, name), '')
  expect(run(['expire', folder])).toMatchObject({ status: 0, stderr: '' })
  expect(readdirSync(folder).sort()).toEqual([...kept].sort())
})

test('a shorter period can be chosen, and a longer one cannot', () => {
  writeFileSync(join(folder, `${nameAt(2)}.tar.gz`), '')
  for (const days of ['8', '90', '0', '-1', '7.5', 'all']) {
    const { status, stderr } = run(['expire', folder], { KEEP_DAYS: days })
    expect(status).toBe(1)
    expect(stderr).toBe('base-backup: KEEP_DAYS is from 1 to 7: no backup may be kept for longer.\n')
  }
  expect(readdirSync(folder)).toHaveLength(1)
  expect(run(['expire', folder], { KEEP_DAYS: '1' }).status).toBe(0)
  expect(readdirSync(folder)).toEqual([])
})

test('a backup that cannot be made says why, takes the old ones away all the same, and leaves none of its own', () => {
  const cluster = join(folder, 'cluster')
  const backups = join(folder, 'backups')
  mkdirSync(cluster)
  expect(run(['make', cluster, backups]).stderr).toContain('is no data directory of PostgreSQL')
  writeFileSync(join(cluster, 'PG_VERSION'), '18\n')
  mkdirSync(backups)
  writeFileSync(join(backups, `${nameAt(8)}.tar.gz`), '')
  const { status, stderr } = run(['make', cluster, backups], { PGHOST: '127.0.0.1', PGPORT: '1' })
  expect(status).not.toBe(0)
  expect(stderr).toContain('no backup was made')
  expect(readdirSync(backups)).toEqual(['.lock'])
  writeFileSync(join(folder, 'file.tar.gz'), '')
  expect(run(['restore', join(folder, 'file.tar.gz'), cluster]).stderr).toContain('is not empty')
})

test('the page for operators says the same period', () => {
  const [, days] = /KEEP_DAYS_MAX=(\d+)/.exec(readFileSync(script, 'utf8')) ?? []
  expect(readFileSync(join(root, 'docs/operate.md'), 'utf8')).toContain(
    `Keep no backup of the database longer than ${days} days.`,
  )
})
