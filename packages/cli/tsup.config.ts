import { fileURLToPath } from 'node:url'
import { defineConfig, type Options } from 'tsup'
import { thirdPartyNotices } from '../../scripts/third-party-notices.ts'
import { topHelp } from './src/program.ts'
import { version } from './src/version.ts'

/** What is heavy, and by which file it is found when an action first needs it. */
const libraries: Record<string, string> = {
  conf: 'conf',
  ignore: 'ignore',
  inquirer: 'inquirer',
  ora: 'ora',
  'ox/Hash': 'ox-hash',
  'ox/Keystore': 'ox-keystore',
  'viem/accounts': 'viem-accounts',
  '@agentctl/contract/agent-config.ts': 'agent-config',
}

/** A dynamic import of a library becomes an import of its own file; a static one would be loaded by every command. */
const lazyLibraries: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'lazy-libraries',
  setup(build) {
    build.onResolve({ filter: /^\.\/main\.cjs$/ }, ({ path }) => ({ path, external: true }))
    build.onResolve({ filter: /.*/ }, ({ path, kind }) => {
      const file = libraries[path]
      if (file === undefined) return undefined
      if (kind === 'dynamic-import') return { path: `./lib/${file}.mjs`, external: true }
      return { errors: [{ text: `${path} has to be imported inside an action` }] }
    })
  },
}

/** Parts of Node that take milliseconds to load, and that commands which only read local state do not need. */
const lateBuiltins = ['node:child_process', 'node:crypto', 'node:readline']

/** Loads such a part when one of its functions is first called; only functions are used of them. */
const lateBuiltinModules: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'late-builtin-modules',
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) =>
      lateBuiltins.includes(path) ? { path, namespace: 'late', sideEffects: false } : undefined,
    )
    build.onLoad({ filter: /.*/, namespace: 'late' }, async ({ path }) => {
      const names = Object.entries(await import(path)).flatMap(([name, value]) =>
        typeof value === 'function' && name !== 'default' ? [name] : [],
      )
      const call = (name: string) => `(...args) => process.getBuiltinModule('${path}').${name}(...args)`
      return {
        contents: [
          ...names.map((name) => `export const ${name} = /* @__PURE__ */ (() => ${call(name)})()`),
          `export default { ${names.map((name) => `${name}: ${call(name)}`).join(', ')} }`,
        ].join('\n'),
      }
    })
  },
}

const notices = thirdPartyNotices()

// All names are fixed and nothing is cleaned: a build that fails leaves the program that was there.
const common = {
  platform: 'node',
  target: 'node22',
  outDir: 'dist',
  dts: false,
  splitting: false,
  removeNodeProtocol: false,
} as const

export default defineConfig([
  {
    ...common,
    entry: { agentctl: 'src/agentctl.ts', main: 'src/main.ts' },
    format: 'cjs',
    // Read from disk at every start, so small; names stay for stack traces.
    minifySyntax: true,
    minifyWhitespace: true,
    noExternal: [/.*/],
    define: { AGENTCTL_VERSION: JSON.stringify(version), AGENTCTL_HELP: JSON.stringify(topHelp()) },
    banner: ({ format }) => (format === 'cjs' ? { js: '#!/usr/bin/env node' } : {}),
    outExtension: () => ({ js: '.cjs' }),
    esbuildPlugins: [lazyLibraries, lateBuiltinModules, notices],
  },
  {
    ...common,
    entry: Object.fromEntries(
      Object.entries(libraries).map(([name, file]) => [
        `lib/${file}`,
        fileURLToPath(import.meta.resolve(name)),
      ]),
    ),
    format: 'esm',
    minify: true,
    noExternal: [/.*/],
    outExtension: () => ({ js: '.mjs' }),
    esbuildPlugins: [notices],
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
  },
])
