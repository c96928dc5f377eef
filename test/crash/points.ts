// Loaded with `--import` before a program under test. It wraps what the program does outside itself (statements,
// requests, renames of files, processes that it starts), gives every such call two points, and hits the process at
// the one that is armed. The program knows nothing of it.
import { AsyncLocalStorage } from 'node:async_hooks'
import childProcess from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import fs from 'node:fs'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { createRequire, flushCompileCache, syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pathName, rpcNames, statementName } from './call-names.ts'
import { Control } from './control.ts'

const FLUSH_MS = 3000
const folder = process.env.CRASH_POINTS
const role = process.env.CRASH_ROLE
// The wrapped Node of a machine also runs the agent itself, which is not ours to hit.
const isProgram = role !== 'runner' || /runner\/|\.cjs$/.test(process.argv[1] ?? '')

/** `call` is what is done, `within` what it is done for. */
type Reach = (call: string, within?: string) => void

if (folder && role && isProgram && !process.argv.includes('--version')) {
  const control = new Control(folder)
  let counting = ''
  let counts = new Map<string, number>()

  const reach: Reach = (call, within = '') => {
    const arming = control.armed()
    if (!arming) return
    if (arming.id !== counting) {
      counting = arming.id
      counts = new Map()
    }
    const name = `${within}${call}`
    const nth = (counts.get(name) ?? 0) + 1
    counts.set(name, nth)
    const point = { role, name, call, nth }
    control.note(arming, point)
    const target = arming.targets.findIndex(
      (one) => one.role === role && one.name === name && one.nth === nth,
    )
    if (target >= 0 && control.claimHit(target, { pid: process.pid, point })) {
      process.kill(process.pid, arming.signal)
    }
  }

  const asked = nameRequestsUnderWay()
  const context = (): string => asked.getStore() ?? ''
  wrapFetch(reach, context)
  wrapHttpRequests(reach)
  wrapFiles(reach, context)
  wrapSpawn(reach)
  if (role !== 'runner') await wrapStatements(reach, context)
  // Node writes its cache of compiled code when a process ends well, which these do not: restarts would be slow.
  setTimeout(flushCompileCache, FLUSH_MS).unref()
}

/** What a statement is executed for, so that its name tells: `POST /v1/deploys › …`. */
function nameRequestsUnderWay(): AsyncLocalStorage<string> {
  const asked = new AsyncLocalStorage<string>()
  subscribe('http.server.request.start', (message) => {
    const { request } = message as { request: IncomingMessage }
    asked.enterWith(`${request.method} ${pathName(request.url ?? '')} › `)
  })
  return asked
}

/** postgres.js, at the two ends of each statement; `begin` and `commit` are statements too. */
async function wrapStatements(reach: Reach, context: () => string): Promise<void> {
  interface Query {
    executed: boolean
    strings: readonly string[]
    handler: object
    resolve: (value: unknown) => void
    reject: (error: unknown) => void
    handle(): Promise<void>
  }
  const require = createRequire(new URL('../../packages/server/package.json', import.meta.url))
  const url = new URL('../../src/query.js', pathToFileURL(require.resolve('postgres')))
  const { Query } = (await import(url.href)) as { Query: { prototype: Query } }
  const { handle } = Query.prototype
  /** Each transaction has a handler of its own: a commit is named after the statement before it. */
  const last = new WeakMap<object, string>()
  Query.prototype.handle = function (this: Query) {
    if (!this.executed) {
      const statement = statementName(this.strings)
      const before = last.get(this.handler)
      const isEnd = statement === 'commit' || statement === 'rollback'
      const call = `${statement}${isEnd && before ? ` of ${before}` : ''}`
      const within = context()
      if (!isEnd) last.set(this.handler, statement)
      const { resolve, reject } = this
      this.resolve = (value) => {
        reach(`${call} › after`, within)
        resolve(value)
      }
      this.reject = (error) => {
        reach(`${call} › refused`, within)
        reject(error)
      }
      reach(`${call} › before`, within)
    }
    return handle.call(this)
  }
}

/** undici and the global fetch, which is undici too. */
function wrapFetch(reach: Reach, context: () => string): void {
  interface Request {
    method: string
    path: string
    body: unknown
  }
  const calls = new WeakMap<object, [call: string, within: string]>()
  subscribe('undici:request:create', (message) => {
    const { request } = message as { request: Request }
    const call = `${request.method} ${pathName(request.path)}${rpcNames(request.body)}`
    const within = context()
    calls.set(request, [call, within])
    reach(`${call} › before`, within)
  })
  subscribe('undici:request:headers', (message) => {
    const { request } = message as { request: Request }
    const [call = request.method, within] = calls.get(request) ?? []
    reach(`${call} › after`, within)
  })
}

/** node:http, as the runner and the router use it. */
function wrapHttpRequests(reach: Reach): void {
  const name = (request: ClientRequest): string => `${request.method} ${pathName(request.path)}`
  subscribe('http.client.request.created', (message) => {
    reach(`${name((message as { request: ClientRequest }).request)} › before`)
  })
  subscribe('http.client.response.finish', (message) => {
    const { request, response } = message as { request: ClientRequest; response: IncomingMessage }
    reach(`${name(request)} › after`)
    response.once('end', () => reach(`${name(request)} › read`))
  })
}

/** A rename is how a file comes to be, whole or not at all. */
function wrapFiles(reach: Reach, context: () => string): void {
  const name = (to: unknown): string => `file ${pathName(basename(String(to)))}`
  const { renameSync, symlinkSync } = fs
  fs.renameSync = (from, to) => {
    reach(`${name(to)} › before`)
    renameSync(from, to)
    reach(`${name(to)} › after`)
  }
  fs.symlinkSync = (target, path, type) => {
    reach(`${name(path)} link › before`)
    symlinkSync(target, path, type)
    reach(`${name(path)} link › after`)
  }
  const { rename } = fs.promises
  fs.promises.rename = async (from, to) => {
    const within = context()
    reach(`${name(to)} › before`, within)
    await rename(from, to)
    reach(`${name(to)} › after`, within)
  }
  syncBuiltinESMExports()
}

function wrapSpawn(reach: Reach): void {
  const { spawn } = childProcess
  const wrapped = (...parameters: Parameters<typeof spawn>): ReturnType<typeof spawn> => {
    const name = `spawn ${basename(String(parameters[0]))}`
    reach(`${name} › before`)
    const child = spawn(...parameters)
    reach(`${name} › after`)
    return child
  }
  childProcess.spawn = wrapped as typeof spawn
  syncBuiltinESMExports()
}
