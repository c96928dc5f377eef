import { mkdirSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { build, type Options } from 'tsup'

type Plugin = NonNullable<Options['esbuildPlugins']>[number]

const server = join(dirname(dirname(import.meta.dirname)), 'packages/server')

/** Only logins use them, and nobody logs in: library and what the server imports of it. */
const leftOut: Record<string, string[]> = {
  'libphonenumber-js/max': ['parsePhoneNumberFromString'],
  siwe: ['SiweMessage'],
  twilio: ['default'],
}

/** What a control run does naively: the module beside this file, by the one of the server that it takes the place of. */
const naive: Record<string, string> = {
  // The provider never finds a machine by its label, so a create whose answer was lost is done again.
  'providers/machines/vultr.ts': 'naive-machines.ts',
  // Credits are not part of the transaction that notes them, and have no key by which they are known again.
  'billing/ledger.ts': 'naive-ledger.ts',
  // Cloudflare never finds a hostname by its name, so one whose answer was lost is ordered again, and left there.
  'providers/dns/cloudflare.ts': 'naive-hostnames.ts',
}

const made = new Map<string, Promise<string>>()

/**
 * The server as one file, for nearly all that a start costs is finding and compiling hundreds of them. Made once for all
 * worlds of a run; with `naively`, one with a module of `naive`. Returns the file.
 */
export function bundledServer(folder: string, naively = ''): Promise<string> {
  const known = made.get(naively)
  if (known) return known
  const making = bundle(join(folder, `server${naively && `-${basename(naively, '.ts')}`}`), naively)
  made.set(naively, making)
  return making
}

async function bundle(folder: string, naively: string): Promise<string> {
  // As deep as the modules that look for these two folders up.
  const outDir = join(folder, 'src/platform')
  mkdirSync(outDir, { recursive: true })
  for (const found of ['migrations', 'package.json', 'node_modules']) {
    symlinkSync(join(server, found), join(folder, found))
  }
  await build({
    config: false,
    silent: true,
    entry: { main: join(server, 'src/main.ts') },
    outDir,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    noExternal: [/.*/],
    // What is only loaded when it is wanted stays apart.
    splitting: true,
    minify: true,
    clean: false,
    outExtension: () => ({ js: '.mjs' }),
    // Some of the libraries ask for Node's own modules in the old way.
    banner: {
      js: "import { createRequire as requireOfNode } from 'node:module'\nconst require = requireOfNode(import.meta.url)",
    },
    esbuildPlugins: [withoutSome, ...(naively ? [withNaive(naively)] : [])],
  })
  return join(outDir, 'main.mjs')
}

const withoutSome: Plugin = {
  name: 'left out',
  setup(building) {
    // `points.ts` wraps its statements, where it finds them.
    building.onResolve({ filter: /^postgres$/ }, ({ path }) => ({ path, external: true }))
    building.onResolve({ filter: /./ }, ({ path }) =>
      Object.hasOwn(leftOut, path) ? { path, namespace: 'left-out' } : undefined,
    )
    building.onLoad({ filter: /./, namespace: 'left-out' }, ({ path }) => {
      const names = leftOut[path]?.map((name) => `nothing as ${name}`) ?? []
      return { contents: `${NOTHING}\nexport { ${names.join(', ')} }`, loader: 'js' }
    })
  },
}

const withNaive = (chosen: string): Plugin => ({
  name: 'naive',
  setup(building) {
    building.onResolve({ filter: /\.ts$/ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
      if (pluginData === chosen || importer.endsWith(chosen)) return undefined
      const found = await building.resolve(path, { importer, resolveDir, kind, pluginData: chosen })
      const real = Object.keys(naive).find((one) => found.path === join(server, 'src', one))
      return real && naive[real] === chosen ? { path: join(import.meta.dirname, chosen) } : found
    })
  },
})

/** May be called and looked into, as happens while a server starts; an answer of it, waited for, is an error. */
const NOTHING = `
const nothing = new Proxy(function () {}, {
  get(target, key) {
    if (key === 'then') throw new Error('This library was left out of the servers of the crash test.')
    return key === 'prototype' ? target.prototype : key === Symbol.toPrimitive ? () => '' : nothing
  },
  apply: () => nothing,
  construct: () => nothing,
})`
