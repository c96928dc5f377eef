import { posix } from 'node:path'
import { checkOutlets, type NamedImport, type Outlets } from './outlet-rules.ts'

/** Path from the root of the repository → text. */
export type Tree = ReadonlyMap<string, string>

interface PackageRule {
  /** npm name under which other packages import it. */
  name: string
  /** Packages of this repository that it may import at run time. */
  imports: readonly string[]
  /** Packages of this repository of which it may import types only. */
  types?: readonly string[]
  /** npm packages that it may import; undefined: those that its package.json names. */
  libraries?: readonly string[]
  /** Whether it may import what Node brings along. */
  node: boolean
}

export interface Architecture {
  packages: Readonly<Record<string, PackageRule>>
  /** The server's rooms, each with those right below it; what these may import, it may import too. */
  rooms: Readonly<Record<string, readonly string[]>>
  /** Files beside the rooms, and which of them a room may import, types only. */
  roomless: Readonly<Record<string, { typesFor: 'all rooms' | 'rooms above providers' | 'none' }>>
  /** Where a folder's private files may be imported from besides that folder. */
  mounts: string
  /** Who of the server may reach other hosts, and who may print. */
  outlets: Outlets
}

interface Import extends NamedImport {
  lazy: boolean
}

/** Tests, and what only they use. */
const TEST = /\.test\.ts$|(?:^|\/)testing\/|(?:^|\/)test-[^/]+\.ts$/
const BANNED_PARTS = new Set([
  ...['manager', 'helper', 'util', 'service', 'handler'].flatMap((name) => [name, `${name}s`]),
  ...['base', 'shared', 'common', 'misc', 'index', 'data', 'info'],
])
const DECLARED =
  /^[ \t]*(?:export )?(?:default )?(?:abstract )?(?:async )?(class|interface|type|function|const|let) (\w+)/gm
const EMPTY_KIND = /(?:Manager|Helper|Util|Service|Handler|Base)s?$/
const EMPTY_VALUE = /(?:Manager|Helper|Util)s?$|^(?:data|info|process)$/
const SQL_TEMPLATE =
  /[\w>)]\s*`\s*(?:--[^\n]*\n\s*)*(?:select|insert into|update|delete from|with|create|alter|drop|truncate|lock|notify|listen)\s/i
const TIME_OF_TRANSACTION =
  /(?<![\w.])(?:now|transaction_timestamp|statement_timestamp)\s*\(\s*\)|\bcurrent_(?:timestamp|date|time)\b|\blocaltime(?:stamp)?\b/i
/** Written in pieces, so that this file does not find itself. */
const MACHINE_PATH = new RegExp(
  [
    '/wo' + 'rk/',
    '/tmp/br' + 'ief',
    '/work' + 'space/',
    '/Us' + 'ers/\\w',
    '/ho' + 'me/(?!agent\\b)\\w',
  ].join('|'),
)

/** Where the tree breaks the rules, one sentence each, sorted by file. */
export function violations(tree: Tree, architecture: Architecture): string[] {
  const found: string[] = []
  const zod = filesThatLoadZod(tree, architecture)
  for (const [path, text] of tree) {
    const say = (sentence: string): void => {
      found.push(`${path}: ${sentence}`)
    }
    if (MACHINE_PATH.test(text)) say('names a path of one machine')
    if (!path.endsWith('.ts')) {
      if (
        /^packages\/server\/migrations\/.*\.sql$/.test(path) &&
        TIME_OF_TRANSACTION.test(withoutSqlComments(text))
      ) {
        say("takes a business time from the database's clock")
      }
      continue
    }
    const code = withoutComments(text)
    checkNames(path, code, say)
    if (TEST.test(path)) continue
    checkPackage(path, code, zod, architecture, say)
    if (path.startsWith('packages/server/src/')) checkServer(path, code, architecture, say)
    if (path.startsWith('packages/cli/src/')) checkCli(path, code, say)
  }
  return found.sort()
}

function checkNames(path: string, code: string, say: (sentence: string) => void): void {
  for (const part of path
    .replace(/(\.test)?\.ts$/, '')
    .split('/')
    .slice(1)) {
    const last = part.split('-').at(-1) ?? ''
    if (BANNED_PARTS.has(last)) say(`is called ${part}, which says nothing`)
  }
  // Templates for other programs are text, and call things as their languages do.
  for (const [, word = '', name = ''] of code.replace(/`[^`]*`/g, '``').matchAll(DECLARED)) {
    const empty = /class|interface|type/.test(word) ? EMPTY_KIND : EMPTY_VALUE
    if (empty.test(name)) say(`declares ${name}, which says nothing`)
  }
  if (/^\s*export\s+\*/m.test(code)) say('is a barrel: it exports everything of another file')
}

function checkPackage(
  path: string,
  code: string,
  zod: ReadonlySet<string>,
  { packages }: Architecture,
  say: (sentence: string) => void,
): void {
  const home = packageOf(path, packages)
  if (!home) return
  const rule = packages[home]
  if (!rule) return
  for (const { from, typeOnly, lazy } of importsOf(code)) {
    if (from.startsWith('.')) {
      const target = resolve(path, from)
      if (!target.startsWith(`packages/${home}/`)) say(`reaches out of its package for ${target}`)
      if (TEST.test(target)) say(`imports ${target}, which is for tests`)
      continue
    }
    if (from.startsWith('node:')) {
      if (!rule.node) say(`imports ${from}, but ${home} imports nothing of Node`)
      continue
    }
    const other = Object.entries(packages).find(
      ([, { name }]) => from === name || from.startsWith(`${name}/`),
    )
    if (!other) {
      const library = from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/')
      if (rule.libraries && !rule.libraries.includes(library))
        say(`imports ${library}, but ${home} does not need it`)
      continue
    }
    const [name, { name: npmName }] = other
    const target = `packages/${name}/src/${from.slice(npmName.length + 1)}`
    if (name === home) say(`imports its own package by name: ${from}`)
    else if (rule.imports.includes(name) || (rule.types?.includes(name) && typeOnly)) {
      if (!typeOnly && !lazy && zod.has(target) && home !== 'server')
        say(`loads zod at its start through ${from}`)
    } else if (rule.types?.includes(name)) {
      // Constants without any library behind them weigh as little as types.
      if (zod.has(target)) say(`imports more than types from ${from}`)
    } else say(`imports ${from}, but ${home} must not know ${name}`)
  }
}

function checkServer(
  path: string,
  code: string,
  { rooms, roomless, mounts, outlets }: Architecture,
  say: (sentence: string) => void,
): void {
  const inside = path.slice('packages/server/src/'.length)
  const room = roomOf(inside)
  const name = posix.basename(inside)
  if (room === undefined ? !(inside in roomless) : !(room in rooms)) {
    say('is in no room of the table')
    return
  }
  const imports = importsOf(code)
  checkOutlets(inside, code, imports, outlets, say)
  for (const { from, typeOnly } of imports) {
    if (!from.startsWith('.')) continue
    const target = resolve(path, from).slice('packages/server/src/'.length)
    const other = roomOf(target)
    if (
      /(^|[/-])store\.ts$|(^|\/)routes\.ts$/.test(target) &&
      posix.dirname(target) !== posix.dirname(inside)
    ) {
      if (!(inside === mounts && target.endsWith('/routes.ts')))
        say(`imports ${target}, which is private to its folder`)
    }
    if (room === undefined) continue
    if (other === undefined) {
      const { typesFor } = roomless[target] ?? { typesFor: 'none' }
      const high = !['platform', 'providers'].includes(room)
      if (!typeOnly || typesFor === 'none' || (typesFor === 'rooms above providers' && !high)) {
        say(`imports ${target}, which stands above the rooms`)
      }
    } else if (other !== room && !roomsBelow(room, rooms).has(other)) {
      say(`imports ${target}: ${room} stands not above ${other}`)
    } else if (room === 'providers' && other === room && nook(target) && nook(target) !== nook(inside)) {
      say(`imports ${target}: providers do not know each other`)
    }
  }
  const keepsSql = room === 'platform' || /^(.+-)?store\.ts$|^(.+-)?operations?\.ts$/.test(name)
  if (!keepsSql && (SQL_TEMPLATE.test(code) || /\.unsafe\(/.test(code))) say('has SQL outside a store')
  if (TIME_OF_TRANSACTION.test(code.replace(/\bnow\(\)(?=\s*[:{])/g, ''))) {
    say("takes a business time from the database's clock")
  }
  const keepsTime = inside === 'platform/clock.ts' || inside === 'platform/log.ts'
  if (!keepsTime && /\bDate\.now\b|\bnew Date\(\s*\)/.test(code)) say('reads the clock of the system')
  if (inside !== 'platform/config.ts' && /\bprocess\.env\b/.test(code)) say('reads the environment')
}

function checkCli(path: string, code: string, say: (sentence: string) => void): void {
  const inside = path.slice('packages/cli/src/'.length)
  // Templates are programs for others to start with, written as text.
  const own = inside === 'init/templates.ts' ? '' : code
  if (inside !== 'main.ts' && /\bprocess\.env\b/.test(own)) say('reads the environment')
  if (!inside.startsWith('commands/')) return
  for (const { from } of importsOf(code)) {
    const target = from.startsWith('.') ? resolve(path, from) : ''
    if (target.startsWith('packages/cli/src/commands/')) say(`imports another command: ${target}`)
  }
}

/** Files of `contract` that load zod when they are loaded, themselves or through others. */
function filesThatLoadZod(tree: Tree, { packages }: Architecture): Set<string> {
  const loading = new Set<string>()
  if (!packages.contract) return loading
  const files = [...tree].filter(
    ([path]) => path.startsWith('packages/contract/src/') && path.endsWith('.ts'),
  )
  for (let grew = true; grew; ) {
    grew = false
    for (const [path, text] of files) {
      if (loading.has(path)) continue
      const loads = importsOf(withoutComments(text)).some(
        ({ from, typeOnly }) => !typeOnly && (from === 'zod' || loading.has(resolve(path, from))),
      )
      if (loads) {
        loading.add(path)
        grew = true
      }
    }
  }
  return loading
}

function importsOf(code: string): Import[] {
  const found: Import[] = []
  for (const [, type, names = '', from = ''] of code.matchAll(
    /^[ \t]*(?:import|export)\s+(type\s+)?([^'"`;]*?)\s*from\s*['"]([^'"]+)['"]/gm,
  )) {
    const members = /^\{([^}]*)\}$/
      .exec(names.trim())?.[1]
      ?.split(',')
      .filter((member) => member.trim() !== '')
    const allTypes =
      members !== undefined && members.length > 0 && members.every((member) => /^\s*type\s/.test(member))
    const values = members?.filter((member) => !/^\s*type\s/.test(member))
    found.push({
      from,
      typeOnly: type !== undefined || allTypes,
      lazy: false,
      names: values?.map((member) => member.trim().split(/\s+as\s+/)[0] ?? ''),
    })
  }
  for (const [, from = ''] of code.matchAll(/^[ \t]*import\s*['"]([^'"]+)['"]/gm)) {
    found.push({ from, typeOnly: false, lazy: false, names: undefined })
  }
  for (const [whole, from = ''] of code.matchAll(/(?:typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    found.push({ from, typeOnly: whole.startsWith('typeof'), lazy: true, names: undefined })
  }
  for (const [, from = ''] of code.matchAll(/\brequire\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    found.push({ from, typeOnly: false, lazy: true, names: undefined })
  }
  return found
}

const resolve = (path: string, from: string): string => posix.join(posix.dirname(path), from)

const packageOf = (path: string, packages: Architecture['packages']): string | undefined => {
  const name = /^packages\/([^/]+)\/src\//.exec(path)?.[1]
  return name !== undefined && name in packages ? name : undefined
}

const roomOf = (inside: string): string | undefined =>
  inside.includes('/') ? inside.split('/')[0] : undefined

/** The folder inside a room; undefined for a file right in the room. */
const nook = (inside: string): string | undefined => inside.split('/').slice(1, -1).join('/') || undefined

function roomsBelow(room: string, rooms: Architecture['rooms']): Set<string> {
  const below = new Set<string>()
  const walk = (name: string): void => {
    for (const next of rooms[name] ?? []) {
      if (below.has(next)) continue
      below.add(next)
      walk(next)
    }
  }
  walk(room)
  return below
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}

const withoutSqlComments = (text: string): string => text.replace(/--.*$/gm, '')
