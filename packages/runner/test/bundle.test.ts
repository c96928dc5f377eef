import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { bundleRunner, removeBundles } from './test-machine.ts'

afterAll(removeBundles)

test('the same sources make the same bytes, so that machines keep the runner that they have', async () => {
  const [first, second] = [await bundleRunner(), await bundleRunner()]
  expect(readFileSync(first).equals(readFileSync(second))).toBe(true)
})

test('nothing of others is in the bundle, so that it is one file without their licences', async () => {
  const metafile = join(dirname(await bundleRunner()), 'metafile-cjs.json')
  const inputs = Object.keys(JSON.parse(readFileSync(metafile, 'utf8')).inputs)
  expect(inputs).toContain('src/main.ts')
  expect(inputs.filter((path) => path.includes('node_modules/'))).toEqual([])
})

test('the bundle needs nothing but Node', async () => {
  const text = readFileSync(await bundleRunner(), 'utf8')
  const needed = [...text.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, name]) => name ?? '')
  expect(needed.length).toBeGreaterThan(5)
  for (const name of needed)
    expect(builtinModules).toContain(name.replace(/^node:/, '').replace(/\/promises$/, ''))
  expect(text).not.toContain('zod')
  expect(text).not.toContain(process.cwd())
})
