import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { expect, onTestFinished, test } from 'vitest'
import { startKillable } from './killable.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { copyPostgres, installedPostgres, linkPostgresLibraries } from './postgres-binaries.ts'
import { identifyProcess, isRunning } from './process-identity.ts'
import { temporaryDataDir } from './temporary-data-dir.ts'
import { canEnter, findUser } from './unprivileged-user.ts'

async function start(dataDir: string, log: (line: string) => void = () => undefined): Promise<Postgres> {
  const database = await startPostgres({ dataDir, log })
  onTestFinished(() => database.stop())
  return database
}

async function query<Row>(url: string, text: string): Promise<Row[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  try {
    return (await sql.unsafe(text)) as Row[]
  } finally {
    await sql.end()
  }
}

test('rows, address and password are the same after a stop and a start', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await query(first.url, 'create table notes (text text); insert into notes values ($$kept$$)')
  await first.stop()

  const second = await start(dataDir)
  expect(second.url).toBe(first.url)
  expect(await query(second.url, 'select text from notes')).toEqual([{ text: 'kept' }])
})

test('it is PostgreSQL 18 in UTF-8 and UTC, on loopback only, with a password kept from others', async () => {
  const dataDir = temporaryDataDir()
  const { url } = await start(dataDir)
  const [settings] = await query(
    url,
    `select current_setting('server_version_num')::int / 10000 as version, current_setting('server_encoding') as encoding,
            current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets,
            current_setting('timezone') as zone`,
  )
  expect(settings).toEqual({
    version: 18,
    encoding: 'UTF8',
    addresses: '127.0.0.1',
    sockets: '',
    zone: 'UTC',
  })
  expect(statSync(join(dataDir, 'postgres', 'postgres.json')).mode & 0o777).toBe(0o600)

  const wrong = new URL(url)
  wrong.password = 'guessed'
  await expect(query(wrong.href, 'select 1')).rejects.toThrow('password authentication failed')
})

test('after kill -9 of everything, what was committed is there', async () => {
  const dataDir = temporaryDataDir()
  const killed = await startKillable<Postgres>('postgres', dataDir)
  await query(killed.part.url, 'create table notes (text text); insert into notes values ($$kept$$)')
  const postmaster = Number(
    readFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n')[0],
  )
  await killed.kill()
  process.kill(postmaster, 'SIGKILL')

  const database = await start(dataDir)
  expect(database.url).toBe(killed.part.url)
  expect(await query(database.url, 'select text from notes')).toEqual([{ text: 'kept' }])
})

test('a PostgreSQL that outlived a killed start is stopped first', async () => {
  const dataDir = temporaryDataDir()
  const killed = await startKillable<Postgres>('postgres', dataDir)
  const postmaster = identifyProcess(
    Number(readFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n')[0]),
  )
  await killed.kill()

  const said: string[] = []
  const database = await start(dataDir, (line) => said.push(line))
  expect(said).toEqual(['an earlier PostgreSQL still runs on this data; stopping it'])
  expect(postmaster && isRunning(postmaster)).toBe(false)
  expect(database.url).toBe(killed.part.url)
})

test('a stranger who now has the number of the old PostgreSQL is left alone', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await first.stop()
  const stranger = spawn('sleep', ['60'])
  onTestFinished(() => {
    stranger.kill()
  })
  await once(stranger, 'spawn')
  writeFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), `${stranger.pid}\n`)

  const second = await start(dataDir)
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }])
  expect(stranger.exitCode ?? stranger.signalCode).toBeNull()
})

test('data of another PostgreSQL version is refused by name and left as it is', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await first.stop()
  const versionFile = join(dataDir, 'postgres', 'data', 'PG_VERSION')
  writeFileSync(versionFile, '17\n')

  await expect(start(dataDir)).rejects.toMatchObject({
    message: expect.stringMatching(
      /belongs to PostgreSQL 17, and this is PostgreSQL 18. Nothing was changed/,
    ),
    fix: expect.stringContaining('AGENTCTL_DATA_DIR'),
  })
  writeFileSync(versionFile, '18\n')
  const again = await start(dataDir)
  expect(again.url).toBe(first.url)
})

test('a cluster whose making was interrupted is made anew', async () => {
  const dataDir = temporaryDataDir()
  mkdirSync(join(dataDir, 'postgres', 'data.half', 'base'), { recursive: true })
  const database = await start(dataDir)
  expect(await query(database.url, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('when its port is taken it chooses another and says so', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await first.stop()
  const squatter = createServer().listen(first.port, '127.0.0.1')
  await once(squatter, 'listening')
  onTestFinished(() => {
    squatter.close()
  })

  const said: string[] = []
  const second = await start(dataDir, (line) => said.push(line))
  expect(second.port).not.toBe(first.port)
  expect(said).toEqual([`port ${first.port} is taken; PostgreSQL listens on ${second.port}`])
})

test('a second start on data in use is refused and names the process', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await expect(start(dataDir)).rejects.toThrow(`is in use by process ${process.pid}`)
  expect(await query(first.url, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('a copy of a data directory has a database of its own, also while the original runs', async () => {
  const [dataDir, copy] = [temporaryDataDir(), temporaryDataDir()]
  const before = await start(dataDir)
  await query(before.url, 'create table notes (text text)')
  await before.stop()
  execFileSync('cp', ['-a', join(dataDir, 'postgres'), copy])
  const original = await start(dataDir)

  const place = JSON.parse(readFileSync(join(dataDir, 'postgres', 'postgres.json'), 'utf8')).place
  if (place === join(dataDir, 'postgres')) {
    const copied = await start(copy)
    await query(copied.url, "insert into notes values ('of the copy')")
  } else {
    // Its cluster lies outside of both and was not copied.
    await expect(start(copy)).rejects.toThrow(`is in use by process ${process.pid}`)
  }
  expect(await query(original.url, 'select text from notes')).toEqual([])
})

test('a lost password is replaced without losing data', async () => {
  const dataDir = temporaryDataDir()
  const first = await start(dataDir)
  await query(first.url, 'create table notes (text text)')
  await first.stop()
  rmSync(join(dataDir, 'postgres', 'postgres.json'))

  const second = await start(dataDir)
  expect(second.url).not.toBe(first.url)
  expect(await query(second.url, 'select text from notes')).toEqual([])
})

test('a copy of the program finds its libraries without any link in node_modules', async () => {
  const folder = temporaryDataDir()
  await copyPostgres(installedPostgres(), join(folder, 'program'))
  rmSync(join(folder, 'program', 'lib', 'libicuuc.so.60'), { force: true })
  const { postgres: program, libraryPath } = linkPostgresLibraries(
    join(folder, 'program'),
    join(folder, 'lib'),
  )
  const run = spawn(program, ['--version'], {
    env: { LD_LIBRARY_PATH: libraryPath },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = await once(run.stdout, 'data')
  expect(String(said)).toMatch(/^postgres \(PostgreSQL\) 18\./)
})

test('as root, a data directory that PostgreSQL cannot enter is no hindrance', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root runs PostgreSQL as somebody else')
  // Closed to everybody but root; a checkout under the home of root is like that.
  const closed = mkdtempSync(join(homedir(), '.agentctl-test-'))
  onTestFinished(() => rmSync(closed, { recursive: true, force: true }))
  const dataDir = join(closed, 'checkout', '.agentctl')
  mkdirSync(dataDir, { recursive: true })
  const said: string[] = []
  const first = await start(dataDir, (line) => said.push(line))
  const place = /its data is in (.+)$/.exec(said.join('\n'))?.[1] ?? ''
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  expect(existsSync(join(place, 'data', 'PG_VERSION'))).toBe(true)
  expect(dirname(place)).toBe('/var/lib/agentctl')
  await query(first.url, 'create table notes (text text)')
  await first.stop()

  const second = await start(dataDir)
  expect(second.url).toBe(first.url)
  expect(await query(second.url, 'select text from notes')).toEqual([])
})

test('runs as a normal user', async ({ skip }) => {
  const nobody = findUser(['nobody'])
  const isPossible = process.getuid?.() === 0 && nobody && canEnter(nobody, import.meta.dirname)
  if (!isPossible) return skip('only root can become another user, who must be able to enter the checkout')
  const dataDir = temporaryDataDir()
  chownSync(dataDir, nobody.uid, nobody.gid)
  const running = await startKillable<Postgres>('postgres', dataDir, { user: nobody })
  expect(statSync(join(dataDir, 'postgres', 'data')).uid).toBe(nobody.uid)
  expect(await query(running.part.url, 'select 1 as one')).toEqual([{ one: 1 }])
  await running.end()
})

test('what belongs to a temporary data directory stays among temporary files', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root runs PostgreSQL as somebody else')
  const said: string[] = []
  const dataDir = join(temporaryDataDir(), 'inside')
  await start(dataDir, (line) => said.push(line))
  const place = /its data is in (.+)$/.exec(said.join('\n'))?.[1] ?? ''
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  expect(dirname(place)).toBe(tmpdir())
})
