import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fileBlobs, type StoredFile } from './blobs.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'agentctl-test-blobs-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const hashed = (shelf: string, number: number): string => shelf + number.toString(16).padStart(62, '0')

async function put(account: string, shelf: string, ...names: string[]): Promise<void> {
  await mkdir(join(root, account, shelf), { recursive: true })
  for (const name of names) await writeFile(join(root, account, shelf, name), '')
}

async function listAll(looks: number): Promise<StoredFile[][]> {
  const parts: StoredFile[][] = []
  let after: string | undefined
  do {
    const { found, next } = await fileBlobs(root).list(after, looks)
    parts.push(found)
    after = next
  } while (after !== undefined)
  return parts
}

test('a store in which nothing was ever put has nothing', async () => {
  rmSync(root, { recursive: true })
  expect(await fileBlobs(root).list(undefined, 10)).toEqual({ found: [], next: undefined })
})

test('a listing in parts of any size names each file once', async () => {
  await put('acc_a', '00', hashed('00', 1), hashed('00', 2), `${hashed('00', 2)}.0123456789ab`)
  await put('acc_a', '01')
  await put('acc_a', 'ff', hashed('ff', 1), 'not-a-hash')
  await put('acc_b', '00', hashed('00', 1))
  await put('acc_b', 'not-a-shelf', hashed('00', 1))
  await writeFile(join(root, 'a-file'), '')
  const expected = [
    { accountId: 'acc_a', sha256: hashed('00', 1), draft: undefined },
    { accountId: 'acc_a', sha256: hashed('00', 2), draft: undefined },
    { accountId: 'acc_a', sha256: hashed('00', 2), draft: `${hashed('00', 2)}.0123456789ab` },
    { accountId: 'acc_a', sha256: hashed('ff', 1), draft: undefined },
    { accountId: 'acc_b', sha256: hashed('00', 1), draft: undefined },
  ]
  for (let looks = 1; looks < 15; looks++) {
    const parts = await listAll(looks)
    expect(parts.flat(), `${looks} looks`).toEqual(expected)
    for (const part of parts) expect(part.length).toBeLessThanOrEqual(looks)
  }
})

test('a directory with more names than are held at once is listed whole', async () => {
  const names = Array.from({ length: 4321 }, (_, number) => hashed('aa', (number * 2999) % 4321))
  await put('acc_a', 'aa', ...names)
  const [found] = await listAll(10_000)
  expect(found?.map(({ sha256 }) => sha256)).toEqual(names.sort())
})
