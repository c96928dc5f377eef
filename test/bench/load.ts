import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'

const CLIENTS = 16

/** To whom requests go, and how. */
export interface Way {
  port: number
  host: string
  connections: Agent
  bearer?: string
}

export const connections = (): Agent => new Agent({ keepAlive: true, maxSockets: CLIENTS })

/** How many requests are answered in this time by all clients together. */
export async function load(
  way: Way,
  { method = 'GET', path = '/', ms }: { method?: 'GET' | 'POST'; path?: string; ms: number },
): Promise<number> {
  const deadline = performance.now() + ms
  let done = 0
  const client = async (): Promise<void> => {
    while (performance.now() < deadline) {
      await ask(way, path, method)
      done++
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return done
}

export function ask({ port, host, connections, bearer }: Way, path: string, method = 'GET'): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      agent: connections,
      headers: {
        host,
        ...(bearer && { authorization: `Bearer ${bearer}` }),
        ...(method === 'POST' && { 'content-length': 2 }),
      },
    })
    asking.once('error', reject)
    asking.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.once('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode} ${text}`)),
      )
      response.once('error', reject)
    })
    asking.end(method === 'POST' ? 'hi' : undefined)
  })
}

/** Processor time that a process has used; the system counts it in hundredths of a second. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}
