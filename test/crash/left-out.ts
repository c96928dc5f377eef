// Loaded before a server that is started again. Two thirds of what a start costs is loading libraries of logins and
// payments; a journey that calls them no more once it runs can do without them, and with that many starts it must.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const SCHEME = 'left-out:'
/** The names that each library exports, by specifier. */
const libraries = JSON.parse(readFileSync(process.env.CRASH_LEFT_OUT ?? '', 'utf8')) as Record<
  string,
  string[]
>

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (!libraries[specifier]) return nextResolve(specifier, context)
    return { url: `${SCHEME}${specifier}`, shortCircuit: true }
  },
  load(url, context, nextLoad) {
    if (!url.startsWith(SCHEME)) return nextLoad(url, context)
    const names = libraries[url.slice(SCHEME.length)] ?? []
    const exported = names.map((name) => (name === 'default' ? 'nothing as default' : `nothing as ${name}`))
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
