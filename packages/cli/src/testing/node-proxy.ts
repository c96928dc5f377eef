import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Call {
  method: string
  params: unknown[]
}

/** What stands between a payer and a node may do: answer itself, pass it on, lose the answer, or say nothing at all. */
export type Between = (call: Call, pass: () => Promise<unknown>) => Promise<unknown>

export const BREAK_OFF: unique symbol = Symbol('break off')

export interface NodeProxy {
  url: string
  calls: Call[]
  /** Decides about calls of a method until it is taken away. */
  between: Map<string, Between>
  close(): Promise<void>
}

/** Passes JSON-RPC on to a real node, and lets a test come in between. */
export async function startNodeProxy(nodeUrl: string): Promise<NodeProxy> {
  const calls: Call[] = []
  const between = new Map<string, Between>()
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const body = Buffer.concat(parts)
    const call: Call = JSON.parse(body.toString())
    calls.push(call)
    const pass = async (): Promise<unknown> => {
      const answer = await fetch(nodeUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
      return answer.json()
    }
    const answer = await (between.get(call.method)?.(call, pass) ?? pass())
    if (answer === BREAK_OFF) request.socket.destroy()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    between,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
