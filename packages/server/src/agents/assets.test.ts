import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findAsset, openAssets } from './assets.ts'
import { KEPT_PROGRAMS } from './kept-programs.ts'

let folder: string
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'agentctl-test-assets-'))
  await writeFile(join(folder, 'node'), 'node 1')
  await writeFile(join(folder, 'runner.cjs'), 'runner 1')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A server that has just started; each has a configuration of its own. */
const server = (dataDir = 'data') => ({
  dataDir: join(folder, dataDir),
  machineNodeFile: join(folder, 'node'),
  machineRunnerFile: join(folder, 'runner.cjs'),
  machineNpmFile: undefined,
})

const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex')

async function served(config: ReturnType<typeof server>, content: string): Promise<string | undefined> {
  const asset = await findAsset(config, sha256(content))
  if (!asset) return undefined
  const bytes = await readFile(asset.path)
  expect(asset.bytes).toBe(bytes.length)
  return bytes.toString()
}

const build = (content: string): Promise<void> => writeFile(join(folder, 'runner.cjs'), content)

/** Another file in the place of the first, as an installation does it. */
async function install(content: string): Promise<void> {
  await writeFile(join(folder, 'node.next'), content)
  await rename(join(folder, 'node.next'), join(folder, 'node'))
}

test('the programs of now are named and served by their hashes', async () => {
  const config = server()
  expect(await openAssets(config)).toEqual({
    node: { sha256: sha256('node 1') },
    runner: { sha256: sha256('runner 1') },
  })
  expect(await served(config, 'node 1')).toBe('node 1')
  expect(await served(config, 'runner 1')).toBe('runner 1')
  expect(await served(config, 'never ordered')).toBeUndefined()
})

test('npm is a program of machines as well, where there is one', async () => {
  await writeFile(join(folder, 'npm.tgz'), 'npm 1')
  const config = { ...server(), machineNpmFile: join(folder, 'npm.tgz') }
  expect((await openAssets(config)).npm).toEqual({ sha256: sha256('npm 1') })
  const asset = await findAsset(config, sha256('npm 1'))
  expect(await readFile(asset?.path ?? '', 'utf8')).toBe('npm 1')
})

test('a server serves its own programs before it has ordered anything', async () => {
  expect(await served(server(), 'runner 1')).toBe('runner 1')
  expect(await served(server('elsewhere'), 'node 1')).toBe('node 1')
})

test('a machine that was ordered before a change of version still gets its programs', async () => {
  await openAssets(server())
  await build('runner 2')
  await install('node 2')
  const next = server()
  expect((await openAssets(next)).runner.sha256).toBe(sha256('runner 2'))
  for (const content of ['node 1', 'runner 1', 'node 2', 'runner 2']) {
    expect(await served(next, content)).toBe(content)
  }
})

test('a running server serves what it named, whatever is built meanwhile', async () => {
  const config = server()
  await openAssets(config)
  await build('runner 2')
  expect(await served(config, 'runner 1')).toBe('runner 1')
  expect((await openAssets(config)).runner.sha256).toBe(sha256('runner 1'))
})

test(`of each kind the last ${KEPT_PROGRAMS} that were used are kept`, async () => {
  const runners = join(folder, 'data', 'assets', 'runner')
  // The first is used again after the third.
  for (const number of [1, 2, 3, 1, 4]) {
    await build(`runner ${number}`)
    await openAssets(server())
    for (const name of await readdir(runners)) {
      const earlier = new Date((await stat(join(runners, name))).mtimeMs - 60_000)
      await utimes(join(runners, name), earlier, earlier)
    }
  }
  const last = server()
  const found = await Promise.all([1, 2, 3, 4].map((number) => served(last, `runner ${number}`)))
  expect(found).toEqual(['runner 1', undefined, 'runner 3', 'runner 4'])
  expect(await served(last, 'node 1')).toBe('node 1')
})

test('what was removed under a server that still orders it comes back', async () => {
  const config = server()
  await openAssets(config)
  rmSync(join(config.dataDir, 'assets'), { recursive: true })
  expect(await served(config, 'runner 1')).toBe('runner 1')
  expect(await served(config, 'node 1')).toBe('node 1')
})

test('servers that start at once on the same directory do not disturb each other', async () => {
  const servers = Array.from({ length: 8 }, () => server())
  await Promise.all(servers.map((config) => openAssets(config)))
  for (const config of servers) expect(await served(config, 'node 1')).toBe('node 1')
  expect(await readdir(join(folder, 'data', 'assets', 'node'))).toEqual([sha256('node 1')])
  expect(await readdir(join(folder, 'data', 'assets', 'runner'))).toEqual([sha256('runner 1')])
})

test('what a kill left while a program was being kept goes after an hour', async () => {
  const runners = join(folder, 'data', 'assets', 'runner')
  const long = new Date(Date.now() - 2 * 3600 * 1000)
  for (const ending of ['.0123456789ab', '.ba9876543210']) {
    await mkdir(join(runners, sha256('half') + ending), { recursive: true })
  }
  await utimes(join(runners, `${sha256('half')}.0123456789ab`), long, long)
  await openAssets(server())
  expect((await readdir(runners)).sort()).toEqual(
    [sha256('runner 1'), `${sha256('half')}.ba9876543210`].sort(),
  )
})

test('Node is not copied, also when it is reached by a symbolic link', async () => {
  await rename(join(folder, 'node'), join(folder, 'node-24'))
  await symlink(join(folder, 'node-24'), join(folder, 'node'))
  await openAssets(server())
  const kept = await findAsset(server(), sha256('node 1'))
  const inode = async (path: string): Promise<number> => (await stat(path)).ino
  expect(await inode(kept?.path ?? '')).toBe(await inode(join(folder, 'node-24')))
  rmSync(join(folder, 'node-24'))
  expect(await readFile(kept?.path ?? '', 'utf8')).toBe('node 1')
})

test('a Node that was written over in its place is not served under its earlier hash', async () => {
  await openAssets(server())
  await writeFile(join(folder, 'node'), 'node 2')
  const next = server()
  await openAssets(next)
  expect(await served(next, 'node 1')).toBeUndefined()
  expect(await served(next, 'node 2')).toBe('node 2')
})

test('a name that is no hash leads nowhere', async () => {
  await openAssets(server())
  expect(await findAsset(server(), `../runner/${sha256('runner 1')}`)).toBeUndefined()
  expect(await findAsset(server(), '')).toBeUndefined()
})

test('a program that cannot be read is looked for again by the next who asks', async () => {
  rmSync(join(folder, 'runner.cjs'))
  const config = server()
  await expect(openAssets(config)).rejects.toThrow('ENOENT')
  await build('runner 1')
  expect((await openAssets(config)).runner.sha256).toBe(sha256('runner 1'))
})
