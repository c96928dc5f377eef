import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readFolder } from './folder.ts'
import { openHashCache } from './hash-cache.ts'

let folder: string
let cache: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agentctl-folder-'))
  cache = mkdtempSync(join(tmpdir(), 'agentctl-cache-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
  rmSync(cache, { recursive: true, force: true })
})

function write(files: Record<string, string>) {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
}

const read = (root = folder, now = Date.now()) =>
  readFolder(root, { cache: openHashCache(cache, root, now), leftOut() {}, progress() {} })
const paths = async (root?: string) => (await read(root)).map(({ path }) => path)

test('files come with hash, size and whether they run', async () => {
  write({ 'run.sh': '#!/bin/sh\n', 'src/a.txt': 'hello' })
  chmodSync(join(folder, 'run.sh'), 0o755)
  const files = (await read()).map(({ source: _, ...file }) => file)
  expect(files).toEqual([
    {
      path: 'run.sh',
      sha256: 'a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf',
      size: 10,
      executable: true,
    },
    {
      path: 'src/a.txt',
      sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
      size: 5,
      executable: false,
    },
  ])
})

test('secrets, repositories and modules never leave, whatever a file says', async () => {
  write({
    'a.js': '',
    '.env': 'X=1',
    '.env.production': 'X=1',
    'deep/.envrc': 'X=1',
    '.git/config': '',
    'node_modules/x/index.js': '',
    'deep/node_modules/x/index.js': '',
    '.agentctl/local.json': '{}',
    '.agentignore': '!.env\n!node_modules\n!.git\n',
  })
  expect(await paths()).toEqual(['.agentignore', 'a.js'])
})

test('.gitignore counts in every folder, the deeper one last, and .agentignore after it', async () => {
  write({
    '.gitignore': '*.log\n/build\n!keep.log\n',
    '.agentignore': 'docs/\n!build/needed.js\n!/build\n',
    'a.log': '',
    'keep.log': '',
    'build/needed.js': '',
    'docs/a.md': '',
    'lib/.gitignore': '!a.log\ntmp\n',
    'lib/a.log': '',
    'lib/tmp/x': '',
    'lib/build/y': '',
  })
  expect(await paths()).toEqual([
    '.agentignore',
    '.gitignore',
    'build/needed.js',
    'keep.log',
    'lib/.gitignore',
    'lib/a.log',
    'lib/build/y',
  ])
})

test('a folder inside a repository is under the rules of the repository', async () => {
  write({
    '.git/HEAD': '',
    '.gitignore': 'secret.json\ndist/\n',
    'bot/a.js': '',
    'bot/secret.json': '{}',
    'dist/b.js': '',
  })
  expect(await paths(join(folder, 'bot'))).toEqual(['a.js'])
  // Ignored as a whole there, so deploying it is said on purpose.
  expect(await paths(join(folder, 'dist'))).toEqual(['b.js'])
})

test('virtual environments and caches stay, unless they are taken back', async () => {
  write({ 'main.py': '', '.venv/bin/python': '', '__pycache__/main.pyc': '', 'x/.DS_Store': '' })
  expect(await paths()).toEqual(['main.py'])
  write({ '.agentignore': '!__pycache__/\n!__pycache__/**\n' })
  expect(await paths()).toEqual(['.agentignore', '__pycache__/main.pyc', 'main.py'])
})

test('a link within the folder is followed', async () => {
  write({ 'real/a.txt': 'hello' })
  symlinkSync('real/a.txt', join(folder, 'link.txt'))
  const [link] = await read()
  expect(link).toMatchObject({ path: 'link.txt', size: 5 })
})

test.each([
  ['out of the folder', '/etc/passwd', 'leads out of the folder'],
  ['to nothing', 'absent', 'to nothing'],
  ['to a folder', 'real', 'something other than a file'],
  ['to what stays here', '.env', 'which stays here'],
  ['to what is ignored', 'real/private.txt', 'which stays here'],
])('a link %s is refused', async (_, target, said) => {
  write({ 'real/private.txt': '', '.env': 'X=1', '.gitignore': 'private.txt\n' })
  symlinkSync(target, join(folder, 'link'))
  await expect(read()).rejects.toThrow(said)
})

test('an empty folder is refused, also one in which all is ignored', async () => {
  await expect(read()).rejects.toThrow('There is nothing to deploy')
  write({ '.env': 'X=1' })
  await expect(read()).rejects.toThrow('There is nothing to deploy')
})

test('a file that did not change is not read again, and one that did is', async () => {
  write({ 'a.txt': 'one', 'b.txt': 'two' })
  const later = Date.now() + 60_000
  const first = await read(folder, later)
  // A cache that lies shows whether it was asked.
  const trusting = openHashCache(cache, folder, later)
  const lied = await readFolder(folder, {
    cache: { ...trusting, find: (path, stamp) => (trusting.find(path, stamp) ? 'f'.repeat(64) : undefined) },
    leftOut() {},
    progress() {},
  })
  expect(lied.map(({ sha256 }) => sha256)).toEqual(['f'.repeat(64), 'f'.repeat(64)])
  const before = new Date(Date.now() - 10_000)
  writeFileSync(join(folder, 'a.txt'), 'ONE')
  utimesSync(join(folder, 'a.txt'), before, before)
  const again = await read(folder, later)
  expect(again[0]?.sha256).not.toBe(first[0]?.sha256)
  expect(again[1]?.sha256).toBe(first[1]?.sha256)
})

test('a file written this moment is not trusted to the cache', async () => {
  write({ 'a.txt': 'one' })
  await read(folder, Date.now())
  expect(
    openHashCache(cache, folder, Date.now()).find('a.txt', { mtimeMs: 0, ctimeMs: 0, size: 3, ino: 0 }),
  ).toBe(undefined)
})
