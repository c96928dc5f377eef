import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

/** Asks on a connection of its own: a long search keeps this process from noticing which of the others were closed. */
export async function askAlone(
  url: string,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string } = {},
): Promise<Buffer> {
  const asking = request(url, { method: body ? 'POST' : 'GET', agent: false, headers }).end(body)
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  return buffer(answer)
}
