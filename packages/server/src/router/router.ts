import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Deps } from '../deps.ts'
import { probeAnswer, probePath } from '../domains/records.ts'
import { faultOf } from '../platform/fault.ts'
import { newId } from '../platform/ids.ts'
import type { Metrics } from '../platform/metrics.ts'
import { readTarget } from './agent-host.ts'
import { carry, type Exchange, MachineConnections, PATIENCE, type Patience } from './exchange.ts'
import { framingOf, headersForAgent } from './forwarded-headers.ts'
import { hangUpLater, stopReading } from './linger.ts'
import {
  type Absence,
  didNotAnswer,
  malformed,
  noSuchAgent,
  notRunning,
  type Refusal,
  routesUnavailable,
} from './refusal.ts'
import { refuse } from './refusal-page.ts'
import { openRouteTable, type Route, type RouteTable } from './route-table.ts'
import { openTunnel } from './tunnel.ts'

export interface Router {
  port: number
  /** Takes no new requests and lets those under way end; cuts off what is left when the patience is. */
  close(drainMs?: number): Promise<void>
}

const DRAIN_MS = 10_000
const KEEP_ALIVE_MS = 75_000
const HEADER_BYTES_MAX = 32 * 1024

/** Carries traffic from the address of each agent to the runner on its machine, both ways as a stream. */
export async function startRouter(
  deps: Pick<Deps, 'db' | 'config' | 'clock' | 'log' | 'keyring'> & { metrics?: Metrics },
  patience: Patience = PATIENCE,
): Promise<Router> {
  const { config } = deps
  const table = await openRouteTable(deps)
  const connections = new MachineConnections()
  const tunnels = new Set<Socket>()
  let draining = false
  const desk = { ...deps, table, connections, patience }
  const count = deps.metrics && countAnswers(deps.metrics)
  const server = createServer({
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    // An upload takes as long as it takes; `carry` notices one that stands still.
    requestTimeout: 0,
    // Offers of other protocols, such as HTTP/2 over cleartext, are ignored as HTTP allows.
    shouldUpgradeCallback: (incoming) =>
      incoming.method === 'GET' && incoming.headers.upgrade?.toLowerCase() === 'websocket',
  })
  server.on('request', (incoming, response) => {
    // A connection that was busy when the stop began is idle after its answer, and would be kept alive.
    response.once('close', () => {
      if (draining) setImmediate(() => server.closeIdleConnections())
      count?.(response.statusCode)
    })
    void answer(desk, incoming, response, {})
  })
  server.on('checkContinue', (incoming, response) => {
    void answer(desk, incoming, response, { expectsContinue: true })
  })
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Always a socket, whatever the type says; anything else could not be answered.
    if (!(socket instanceof Socket)) return socket.destroy()
    tunnels.add(socket)
    socket.once('close', () => tunnels.delete(socket))
    socket.on('error', () => socket.destroy())
    return void answer(desk, incoming, responseOn(socket, incoming), { upgrade: { socket, head } })
  })
  const port = await listen(server, config.host, config.routerPort)
  return {
    port,
    async close(drainMs = DRAIN_MS) {
      draining = true
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      const cutOff = setTimeout(() => {
        server.closeAllConnections()
        for (const socket of tunnels) socket.destroy()
      }, drainMs)
      await closed
      clearTimeout(cutOff)
      connections.destroy()
    },
  }
}

interface Desk extends Pick<Deps, 'config' | 'log'> {
  table: RouteTable
  connections: MachineConnections
  patience: Patience
}

interface Wish {
  expectsContinue?: true
  upgrade?: { socket: Socket; head: Buffer }
}

/** By class of status: which agent it was would be a series for each. */
function countAnswers(metrics: Metrics): (status: number) => void {
  const answers = metrics.counter(
    'agentctl_router_answers_total',
    'Requests to agents, by what was answered.',
  )
  const counters = [0, 1, 2, 3, 4, 5].map((hundreds) => answers({ status: `${hundreds}xx` }))
  return (status) => counters[Math.floor(status / 100)]?.add()
}

async function answer(
  desk: Desk,
  incoming: IncomingMessage,
  response: ServerResponse,
  wish: Wish,
): Promise<void> {
  const requestId = newId('req')
  response.on('error', () => {})
  try {
    const refusal = await forward(desk, incoming, response, wish, requestId)
    if (!refusal || response.destroyed) return
    if (response.headersSent) response.destroy()
    else {
      refuse(incoming, response, refusal, requestId)
      stopReading(incoming)
    }
  } catch (error) {
    desk.log.error('A request could not be routed', { requestId, fault: faultOf(error) })
    response.destroy()
  }
}

/** Undefined once the agent's answer has begun; otherwise what the client is told instead. */
async function forward(
  { config, log, table, connections, patience }: Desk,
  incoming: IncomingMessage,
  response: ServerResponse,
  wish: Wish,
  requestId: string,
): Promise<Refusal | undefined> {
  const target = readTarget(incoming, config.agentDomain)
  const framing = framingOf(incoming)
  if (framing && framing.kind !== 'none') hangUpLater(incoming, response)
  if (!target || !framing) return malformed
  if (target.name === undefined) return noSuchAgent
  let route: Route | undefined
  try {
    route = await table.find(target.name)
  } catch {
    return routesUnavailable
  }
  if (!route) return noSuchAgent
  const { domainId } = route
  if (domainId !== undefined && target.path === probePath(domainId)) {
    answerProbe(incoming, response, domainId)
    return undefined
  }
  // To visitors a name that is not known to be its owner's yet leads nowhere.
  if (!route.isOpen) return noSuchAgent
  const { machine, name, status } = route
  if (status === 'stopped' || status === 'suspended') return notRunning(status, name)
  // Its runner knows better than the database whether it answers right now.
  if (!machine) return notRunning(status === 'failing' ? 'failing' : 'starting', name)
  const headers = headersForAgent(
    incoming,
    { addressHeader: config.clientAddressHeader, requestId, host: target.host },
    framing,
    machine.credential.reveal(),
  )
  const { upgrade } = wish
  if (upgrade) headers.push('Connection', 'Upgrade', 'Upgrade', 'websocket')
  if (wish.expectsContinue) headers.push('Expect', '100-continue')
  const exchange: Exchange = {
    incoming,
    response,
    machine,
    path: target.path,
    headers,
    framing,
    expectsContinue: wish.expectsContinue ?? false,
    patience,
    ...(upgrade && {
      switched: (reply: IncomingMessage, socket: Socket, head: Buffer) =>
        openTunnel(response, upgrade.socket, upgrade.head, reply, socket, head),
    }),
  }
  const end = await carry(exchange, connections)
  if (!end || response.destroyed) return undefined
  if ('absence' in end && end.status === 503) return notRunning(absenceOf(end.absence, status), name)
  table.forget(target.name)
  // The reason that a machine gives is text of whoever has it.
  const fault = 'fault' in end ? faultOf(end.fault) : `status ${end.status}`
  log.warn('An agent did not answer', { requestId, agentId: route.agentId, machineId: machine.id, fault })
  return didNotAnswer('silence' in end ? end.silence : 'closed', name)
}

/** Shows that visitors of this name come here, whatever its agent does. */
function answerProbe(incoming: IncomingMessage, response: ServerResponse, domainId: string): void {
  const body = probeAnswer(domainId)
  response.writeHead(200, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  response.end(body)
  stopReading(incoming)
}

/** In the words of the agent's status: what its runner says, unless the database knows that it keeps happening. */
function absenceOf(reason: string, status: Route['status']): Absence {
  if (status === 'failing' || reason === 'crashed') return 'failing'
  return reason === 'stopped' ? 'stopped' : 'starting'
}

/** The answer to a request that asked for another protocol and does not get it; ends its connection. */
function responseOn(socket: Socket, incoming: IncomingMessage): ServerResponse {
  const response = new ServerResponse(incoming)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.once('finish', () => socket.destroySoon())
  return response
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE'
      reject(taken ? new Error(`Port ${port} is taken. Set ROUTER_PORT to a free one.`) : error)
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}
