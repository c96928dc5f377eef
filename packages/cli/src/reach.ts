import { connectTo } from './loopback-names.ts'

export type Reached = { httpStatus: number } | { reason: string }

const TIMEOUT_MS = 10_000

/** Whether something answers at an address; any status is an answer. */
export async function reach(address: string, signal: AbortSignal): Promise<Reached> {
  const { url, host } = connectTo(new URL(address))
  const limited = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
  try {
    if (host !== undefined) return { httpStatus: await statusByHost(url, host, limited) }
    const response = await fetch(url, { redirect: 'manual', signal: limited })
    await response.body?.cancel()
    return { httpStatus: response.status }
  } catch (error) {
    const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const said = inner instanceof Error ? inner.message : String(inner)
    const code = inner instanceof Error && 'code' in inner ? String(inner.code) : ''
    return { reason: said || code || 'no answer' }
  }
}

/** fetch puts the address that it connects to into the Host header, whatever it is told. */
async function statusByHost(url: URL, host: string, signal: AbortSignal): Promise<number> {
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host }, signal, agent: false })
    asked.on('error', reject)
    asked.on('response', (response) => {
      resolve(response.statusCode ?? 0)
      response.destroy()
    })
    asked.end()
  })
}
