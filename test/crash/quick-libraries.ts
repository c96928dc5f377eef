// Loaded before a server that is started again. Most of what a start costs is loading libraries: some of them come as
// one file each, and those that only logins use are left out, for a journey does not log in once it runs.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const SCHEME = 'left-out:'

export interface QuickLibraries {
  /** URL of the one file of a library, by specifier. */
  bundles: Record<string, string>
  /** The names that each library exports that is left out, by specifier. */
  leftOut: Record<string, string[]>
}

const { bundles, leftOut } = JSON.parse(
  readFileSync(process.env.CRASH_LIBRARIES ?? '', 'utf8'),
) as QuickLibraries

registerHooks({
  resolve(specifier, context, nextResolve) {
    const bundle = bundles[specifier]
    if (bundle) return { url: bundle, format: 'module', shortCircuit: true }
    if (leftOut[specifier]) return { url: `${SCHEME}${specifier}`, shortCircuit: true }
    return nextResolve(specifier, context)
  },
  load(url, context, nextLoad) {
    if (!url.startsWith(SCHEME)) return nextLoad(url, context)
    const names = ['default', ...(leftOut[url.slice(SCHEME.length)] ?? [])]
    const exported = names.map((name) => `nothing as ${name}`)
    return { format: 'module', shortCircuit: true, source: `${NOTHING}\nexport { ${exported.join(', ')} }` }
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
