import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'tsup'
import type { QuickLibraries } from './quick-libraries.ts'

const server = join(dirname(dirname(import.meta.dirname)), 'packages/server')

const BUNDLED = ['hono', 'siwe', 'undici', 'viem', 'zod']
/** Nobody logs in with a phone. */
const LEFT_OUT = ['libphonenumber-js/max', 'twilio']
/** Only logins with a wallet use it. */
const LOGIN = 'siwe'

/** Files that `quick-libraries.ts` reads: for a server that somebody logs in to, and for all others. */
interface LibraryFiles {
  withLogin: string
  withoutLogin: string
}

let building: Promise<LibraryFiles> | undefined

/** Made once for all worlds. */
export function quickLibraries(folder: string): Promise<LibraryFiles> {
  building ??= buildLibraries(join(folder, 'libraries'))
  return building
}

async function buildLibraries(folder: string): Promise<LibraryFiles> {
  mkdirSync(folder, { recursive: true })
  for (const [library, names] of Object.entries(await exportsOf(BUNDLED))) {
    // By name, for what some of them export is only known by running them.
    const text = `export { ${names.join(', ')} } from '${library}'\n`
    writeFileSync(join(folder, `${library}.entry.js`), text)
  }
  await build({
    config: false,
    silent: true,
    entry: Object.fromEntries(BUNDLED.map((library) => [library, join(folder, `${library}.entry.js`)])),
    outDir: folder,
    format: 'esm',
    platform: 'node',
    noExternal: [/.*/],
    splitting: false,
    clean: false,
    outExtension: () => ({ js: '.mjs' }),
    // Some of them ask for Node's own modules in the old way.
    banner: {
      js: "import { createRequire as requireOfNode } from 'node:module'\nconst require = requireOfNode(import.meta.url)",
    },
    esbuildOptions(options) {
      options.nodePaths = [join(server, 'node_modules')]
    },
  })
  const bundles = Object.fromEntries(
    BUNDLED.map((library) => [library, pathToFileURL(join(folder, `${library}.mjs`)).href]),
  )
  const { [LOGIN]: _, ...others } = bundles
  const write = (name: string, libraries: QuickLibraries): string => {
    const file = join(folder, name)
    writeFileSync(file, JSON.stringify(libraries))
    return file
  }
  return {
    withLogin: write('with-login.json', { bundles, leftOut: await exportsOf(LEFT_OUT) }),
    withoutLogin: write('without-login.json', {
      bundles: others,
      leftOut: await exportsOf([...LEFT_OUT, LOGIN]),
    }),
  }
}

async function exportsOf(libraries: string[]): Promise<Record<string, string[]>> {
  const { resolve } = createRequire(join(server, 'package.json'))
  const named = libraries.map(async (library): Promise<[string, string[]]> => {
    const module: object = await import(pathToFileURL(resolve(library)).href)
    return [library, Object.keys(module).filter((name) => /^[A-Za-z]\w*$/.test(name) && name !== 'default')]
  })
  return Object.fromEntries(await Promise.all(named))
}
