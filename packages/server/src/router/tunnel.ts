import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { headersForClient } from './forwarded-headers.ts'

/** A peer that vanished without a word is noticed after this long. */
const KEEP_ALIVE_MS = 30_000
/** How long what is still on its way may take once one side has ended. */
const FLUSH_MS = 2000

/** Tells the client that the protocol has changed, and from then on passes bytes. */
export function openTunnel(
  response: ServerResponse,
  client: Socket,
  clientHead: Buffer,
  answer: IncomingMessage,
  machine: Socket,
  machineHead: Buffer,
): void {
  response.detachSocket(client)
  const headers = headersForClient(answer, { chunked: false })
  const lines = [`HTTP/1.1 101 ${answer.statusMessage || 'Switching Protocols'}`]
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
  lines.push('Connection: Upgrade', `Upgrade: ${answer.headers.upgrade ?? 'websocket'}`, '', '')
  client.write(Buffer.from(lines.join('\r\n'), 'latin1'))
  if (machineHead.length > 0) client.write(machineHead)
  if (clientHead.length > 0) machine.write(clientHead)
  pass(client, machine)
  pass(machine, client)
}

function pass(from: Socket, to: Socket): void {
  from.setTimeout(0)
  from.setNoDelay(true)
  from.setKeepAlive(true, KEEP_ALIVE_MS)
  from.pipe(to)
  // A connection that broke is broken on the other side too, instead of ending as if all had been said.
  from.on('error', () => to.resetAndDestroy())
  // Nobody who uses a WebSocket listens on after its own end: both sides go, once what was said has arrived.
  from.once('end', () => {
    setTimeout(() => {
      from.destroy()
      to.destroy()
    }, FLUSH_MS).unref()
  })
  from.once('close', () => to.destroySoon())
}
