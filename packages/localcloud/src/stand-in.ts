import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import type { Server } from 'node:http'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { type Clock, clockFromFile } from './clock.ts'
import { type Fault, Faults } from './faults.ts'
import { lockFolder } from './folder-lock.ts'
import { keepFile, readKeptFile } from './kept-file.ts'
import { RequestRecord } from './request-record.ts'

/** One request and its answer as they were on the wire, for whoever checks them against a specification. */
export interface Exchange {
  method: string
  path: string
  query: Record<string, string>
  contentType: string
  body: string
  status: number
  answerType: string
  answer: string
}

export interface StandInOptions {
  /** Data directory of the local cloud; the stand-in lives in its folder of the stand-in's name. */
  dataDir: string
  log: (line: string) => void
  /** Sees every exchange with the provider's API, not those of `/_local/` and not what a fault made up. */
  onExchange?: (exchange: Exchange) => void
}

/** What a provider's stand-in is, apart from what all of them share. */
export interface StandInParts {
  /** The provider's API. */
  api: Hono
  /** Controls of its own, under `/_local/`. */
  local?: Hono
  close?: () => Promise<void>
}

export interface StandIn<Credentials> {
  url: string
  credentials: Credentials
  stop(): Promise<void>
}

interface Definition<Credentials> {
  name: string
  /** Made once and kept in the folder. */
  makeCredentials: () => Credentials
  build: (surroundings: {
    credentials: Credentials
    folder: string
    clock: Clock
    log: (line: string) => void
  }) => StandInParts | Promise<StandInParts>
}

type Env = { Bindings: HttpBindings }

/**
 * The frame of every stand-in: an address on 127.0.0.1 and credentials that stay the same between starts, a record of
 * what it was sent, faults on request, and the clock of the local cloud. Its own controls are under `/_local/`.
 */
export async function startStandIn<Credentials>(
  { name, makeCredentials, build }: Definition<Credentials>,
  { dataDir, log, onExchange }: StandInOptions,
): Promise<StandIn<Credentials>> {
  const folder = resolve(dataDir, name)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const lock = await lockFolder(folder)
  try {
    const keptFile = join(folder, `${name}.json`)
    const keptText = readKeptFile(keptFile)
    const kept: { port: number; credentials: Credentials } | undefined =
      keptText === undefined ? undefined : JSON.parse(keptText)
    const credentials = kept?.credentials ?? makeCredentials()
    const clock = clockFromFile(join(dataDir, 'clock'))
    const parts = await build({ credentials, folder, clock, log })
    const { server, port } = await listen(frame(parts, clock, onExchange), kept?.port)
    if (kept && kept.port !== port) log(`port ${kept.port} is taken; ${name} listens on ${port}`)
    keepFile(keptFile, JSON.stringify({ port, credentials }))
    const stop = async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      await parts.close?.()
      await lock.release()
    }
    let stopped: Promise<void> | undefined
    return {
      url: `http://127.0.0.1:${port}`,
      credentials,
      stop: () => {
        stopped ??= stop()
        return stopped
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

function frame(parts: StandInParts, clock: Clock, onExchange: StandInOptions['onExchange']): Hono<Env> {
  const faults = new Faults()
  const record = new RequestRecord()
  const app = new Hono<Env>()

  app.use('/_local/*', refuseBrowsers)
  app.get('/_local/requests', (c) => c.json(record.list(c.req.query())))
  app.delete('/_local/requests', (c) => {
    record.clear()
    return c.body(null, 204)
  })
  app.get('/_local/faults', (c) => c.json(faults.list()))
  app.post('/_local/faults', async (c) => {
    const fault = faults.add(await c.req.json().catch(() => undefined))
    return typeof fault === 'string' ? c.json({ error: fault }, 400) : c.json(fault, 201)
  })
  app.delete('/_local/faults', (c) => {
    faults.clear()
    return c.body(null, 204)
  })
  app.delete('/_local/faults/:id', (c) => c.body(null, faults.remove(c.req.param('id')) ? 204 : 404))
  if (parts.local) app.route('/_local', parts.local)
  app.all('/_local/*', (c) => c.json({ error: `There is no ${c.req.method} ${c.req.path} here.` }, 404))

  app.use('*', async (c, next) => {
    // Reading a copy leaves the body for the handler.
    const body = await c.req.raw.clone().text()
    const recorded = record.add(clock.now(), c.req.raw, body)
    const fault = faults.take(c.req.method, c.req.path)
    recorded.fault = fault?.kind ?? null
    const answer = await answerWith(fault, c, async () => {
      await next()
      if (onExchange) onExchange(await exchangeOf(c, body))
    })
    recorded.status = answer === RESPONSE_ALREADY_SENT ? null : (answer ?? c.res).status
    // Assigned as a whole, for a middleware that has called next() may not return another answer.
    if (answer) c.res = answer
  })
  app.route('/', parts.api)
  return app
}

/** Undefined: the answer stays what the handler made. */
async function answerWith(
  fault: Fault | undefined,
  c: Context<Env>,
  perform: () => Promise<void>,
): Promise<Response | undefined> {
  switch (fault?.kind) {
    case undefined:
      await perform()
      return undefined
    case 'delay':
      await pause(fault.delayMs ?? 0)
      await perform()
      return undefined
    case 'status':
      return faultAnswer(fault, 500)
    case 'html-503':
      return new Response('<html><head><title>503 Service Temporarily Unavailable</title></head></html>\n', {
        status: 503,
        headers: { 'content-type': 'text/html', ...fault.headers },
      })
    case 'error-after-effect':
      await perform()
      return faultAnswer(fault, 500)
    case 'drop-before':
      return drop(c)
    case 'drop-after-effect':
      await perform()
      return drop(c)
    case 'hang':
      return hang(c)
    case 'hang-after-effect':
      await perform()
      return hang(c)
  }
}

function faultAnswer({ status, headers, body }: Fault, otherwise: number): Response {
  const isText = typeof body === 'string'
  return new Response(body === undefined ? null : isText ? body : JSON.stringify(body), {
    status: status ?? otherwise,
    headers: { 'content-type': isText ? 'text/plain' : 'application/json', ...headers },
  })
}

function drop(c: Context<Env>): Response {
  c.env.incoming.socket.destroy()
  return RESPONSE_ALREADY_SENT
}

async function hang(c: Context<Env>): Promise<Response> {
  if (!c.env.outgoing.closed) await once(c.env.outgoing, 'close')
  return RESPONSE_ALREADY_SENT
}

async function exchangeOf(c: Context<Env>, body: string): Promise<Exchange> {
  return {
    method: c.req.method,
    path: c.req.path,
    query: c.req.query(),
    contentType: c.req.header('content-type') ?? '',
    body,
    status: c.res.status,
    answerType: c.res.headers.get('content-type') ?? '',
    answer: await c.res.clone().text(),
  }
}

/** A page open in a browser on this machine can send requests here too; it must not read messages or move machines. */
const refuseBrowsers: MiddlewareHandler<Env> = async (c, next) => {
  const host = new URL(c.req.url).hostname
  if (c.req.header('origin') !== undefined || (host !== '127.0.0.1' && host !== 'localhost')) {
    return c.json({ error: 'These controls are for programs on this machine, not for web pages.' }, 403)
  }
  return next()
}

/** Listens on the preferred port when it is free, else on any. */
async function listen(app: Hono<Env>, preferred = 0): Promise<{ server: Server; port: number }> {
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  server.listen({ host: '127.0.0.1', port: preferred })
  try {
    await once(server, 'listening')
  } catch (error) {
    const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!isTaken || preferred === 0) throw error
    return listen(app)
  }
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('The stand-in has no address.')
  return { server, port: address.port }
}
