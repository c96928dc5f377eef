import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openPool } from '@agentctl/server/platform/db.ts'
import { dataMap } from '@agentctl/server/privacy/data-map.ts'
import {
  dataMapDocument,
  kindRows,
  policyDocument,
  processingRecord,
} from '@agentctl/server/privacy/documents.ts'
import { evidenceFileOf } from '@agentctl/server/privacy/evidence/files.ts'
import { listColumns, listTables } from '@agentctl/server/privacy/evidence/store.ts'
import { policy, processors } from '@agentctl/server/privacy/policy.ts'
import {
  hashOfText,
  newestText,
  policyVersions,
  publication,
  versionFault,
} from '@agentctl/server/privacy/policy-versions.ts'
import { checks } from '@agentctl/server/privacy/verification.ts'
import { afterAll, expect, test } from 'vitest'
import { testDatabase } from '../database.ts'

const root = join(import.meta.dirname, '../..')
const { url } = await testDatabase()
const sql = openPool(url, { connectionsMax: 1 })
afterAll(() => sql.end({ timeout: 5 }))

test('data map, record of processing and the list of sentences are what the columns and the policy say', async () => {
  const columns = (await listColumns(sql)).map(({ type, ...kept }) => kept)
  const tables = await listTables(sql)
  const lines = columns.map((column) => JSON.stringify(column)).join(',\n  ')
  await expect(`[\n  ${lines}\n]\n`).toMatchFileSnapshot(
    join(root, 'packages/server/src/privacy/data-map.json'),
  )
  await expect(dataMapDocument(columns, tables)).toMatchFileSnapshot(join(root, 'docs/data-map.md'))
  await expect(processingRecord(columns)).toMatchFileSnapshot(join(root, 'docs/processing-record.md'))
  const tests = readFileSync(join(import.meta.dirname, 'sentences.test.ts'), 'utf8')
  const tested = new Set([...tests.matchAll(/^ {2}'(\d+[a-z]?)': \[/gm)].map(([, id = '']) => id))
  await expect(policyDocument(evidenceFileOf, tested)).toMatchFileSnapshot(join(root, 'docs/policy.md'))
  expect(dataMap).toEqual(columns)
})

test('every sentence has an id of its own and either evidence or the word that it is a notice', () => {
  for (const text of new Set([policy, newestText])) {
    const sentences = text.flatMap((section) => section.sentences)
    const ids = sentences.map(({ id }) => id)
    expect(ids.filter((id) => !/^\d{1,2}[a-z]?$/.test(id))).toEqual([])
    expect(new Set(ids).size).toBe(ids.length)
    for (const { id, notice } of sentences) expect(id in checks, id).toBe(!notice)
    if (text === newestText) expect(ids).toEqual(expect.arrayContaining(Object.keys(checks)))
  }
})

test('the newest text leads to the policy of each who works for us, and nowhere else', () => {
  const said = newestText.flatMap(({ sentences }) => sentences.map(({ text }) => text))
  for (const [name, url] of Object.entries(processors)) {
    expect(said.filter((text) => text.startsWith(name) && text.includes(url)).length, name).toBe(1)
  }
  const links = said.flatMap((text) => text.match(/https:\/\/\S+[^\s.,]/g) ?? [])
  expect(links.toSorted()).toEqual(Object.values(processors).toSorted())
})

test('what the newest text says of each kind of data is what the columns say', () => {
  const [head, ...rows] = newestText.flatMap((section) => section.rows ?? [])
  expect(head).toEqual(['kind', 'used to', 'kept'])
  expect(rows).toEqual(kindRows(dataMap))
})

test('a text is of the day that its hash is written down for: no word changes without the day', () => {
  expect(versionFault()).toBeUndefined()
  const [first, ...others] = policy
  if (!first) throw new Error('There is no policy.')
  const changed = [{ ...first, title: `${first.title}!` }, ...others]
  expect(versionFault({ ...publication, text: changed })).toContain(hashOfText(changed))
  // A table is text, too.
  const longer = newestText.map((one) =>
    one.rows ? { ...one, rows: [...one.rows, ['pii.birthday', 'abuse', 'a year']] } : one,
  )
  expect(versionFault({ ...publication, text: longer, announced: undefined })).toContain(hashOfText(longer))
  // A new hash under the old day is no new version either.
  const last = policyVersions.at(-1)
  if (!last) throw new Error('There is no version.')
  const sameDay = [...policyVersions, { ...last, hash: hashOfText(changed) }]
  expect(versionFault({ ...publication, text: changed, versions: sameDay as never })).toBe(
    'each version has a later day than the one before',
  )
})

test('what was published stays written down: versions are only added to those of every commit before', () => {
  const path = 'packages/server/src/privacy/policy-versions.ts'
  const git = (...args: string[]) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout
  const commits = git('log', '--format=%H', '--', path).split('\n').filter(Boolean)
  for (const commit of ['HEAD', ...commits]) {
    const before = git('show', `${commit}:${path}`)
    const published = [...before.matchAll(/lastUpdated: '([\d-]+)',\s*hash: '([0-9a-f]{64})'/g)].map(
      ([, lastUpdated = '', hash = '']) => ({ lastUpdated, hash }),
    )
    expect(policyVersions.slice(0, published.length), commit).toEqual(published)
  }
})
