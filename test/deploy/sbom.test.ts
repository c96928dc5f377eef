import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import { billOf, shipped } from '../../scripts/bill-of-materials.ts'

const root = join(import.meta.dirname, '../..')
const library = dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json'))

/** CycloneDX' own schema of the version that is written, with those that it refers to. */
function validator() {
  const read = (name: string) =>
    JSON.parse(readFileSync(join(library, 'res/schema', `${name}.SNAPSHOT.schema.json`), 'utf8'))
  const ajv = new Ajv({ strict: false })
  formats.default(ajv)
  ajv.addFormat('iri-reference', true).addFormat('idn-email', true)
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs']) {
    ajv.addSchema(read(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`)
  }
  return ajv.compile(read('bom-1.6'))
}

interface Bill {
  metadata: { component: { 'bom-ref': string; version: string } }
  components: {
    name: string
    group?: string
    version: string
    'bom-ref': string
    hashes?: []
    licenses?: []
  }[]
  dependencies: { ref: string; dependsOn?: string[] }[]
}
const bills = new Map(shipped.map((what) => [what, JSON.parse(billOf(root, what)) as Bill]))
const billFor = (what: (typeof shipped)[number]): Bill => {
  const bill = bills.get(what)
  if (!bill) throw new Error(what)
  return bill
}
const idsOf = ({ components }: Bill): string[] => components.map((one) => one['bom-ref']).sort()

test('each is what the schema of CycloneDX asks for, and one that is not is refused', () => {
  const validate = validator()
  for (const [what, bill] of bills) {
    validate(bill)
    expect(validate.errors, what).toBeNull()
  }
  const broken = structuredClone(billFor('cli'))
  Reflect.deleteProperty(broken.components[0] ?? {}, 'name')
  expect(validate(broken)).toBe(false)
})

test('the same lockfile makes the same bytes', () => {
  for (const what of shipped) expect(billOf(root, what)).toBe(`${JSON.stringify(bills.get(what), null, 2)}\n`)
})

test('the image of the server has exactly the packages that are installed into it', () => {
  const listed = JSON.parse(
    execFileSync(
      'npx',
      // As deploy/Containerfile installs them.
      [
        '--yes',
        JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager,
        'list',
        '--prod',
        '--no-optional',
        '--depth=Infinity',
        '--json',
        '--filter=@agentctl/server...',
      ],
      { cwd: root, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 },
    ),
  )
  interface Listed {
    version: string
    dependencies?: Record<string, Listed>
  }
  const found = new Set<string>()
  const walk = (dependencies: Record<string, Listed> = {}): void => {
    for (const [name, one] of Object.entries(dependencies)) {
      if (!one.version.startsWith('link:')) found.add(`${name}@${one.version}`)
      walk(one.dependencies)
    }
  }
  for (const { dependencies } of listed) walk(dependencies)
  expect(found.size).toBeGreaterThan(50)
  const ours = idsOf(billFor('server')).filter((id) => !id.startsWith('node@'))
  expect(ours).toEqual([...found].sort())
})

test('the CLI names what is in its bundle, the runner npm and all that is inside of it', () => {
  expect(idsOf(billFor('cli'))).toEqual(
    expect.arrayContaining([expect.stringMatching(/^commander@/), expect.stringMatching(/^zod@/)]),
  )
  const npm = join(root, 'packages/runner/node_modules/npm/node_modules')
  const inside = readdirSync(npm).filter((name) => /^[a-z]/.test(name))
  const named = new Set(billFor('runner').components.map(({ name }) => name))
  expect(inside.length).toBeGreaterThan(50)
  for (const name of inside) expect([...named]).toContain(name)
})

test('every package has its version, its licence and, where it comes from the registry, its hash', () => {
  for (const [what, { components, dependencies }] of bills) {
    expect(
      components.filter(({ version }) => !/^\d+\.\d+\.\d+/.test(version)),
      what,
    ).toEqual([])
    const refs = new Set(components.map((one) => one['bom-ref']))
    const dangling = dependencies.flatMap(({ dependsOn = [] }) => dependsOn.filter((ref) => !refs.has(ref)))
    expect(dangling, what).toEqual([])
    if (what === 'runner') continue
    const bare = components.filter(({ name, hashes, licenses }) => name !== 'node' && !(hashes && licenses))
    expect(
      bare.map((one) => one['bom-ref']),
      what,
    ).toEqual([])
  }
})
