import { connectTo } from './loopback-names.ts'

/** Whether something answers at an address; any status is an answer. */
export async function reach(
  address: string,
  signal: AbortSignal,
): Promise<{ httpStatus: number } | { reason: string }> {
  const { url, host } = connectTo(new URL(address))
  try {
    const response = await fetch(url, {
      headers: host === undefined ? {} : { host },
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    })
    await response.body?.cancel()
    return { httpStatus: response.status }
  } catch (error) {
    const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const said = inner instanceof Error ? inner.message : String(inner)
    const code = inner instanceof Error && 'code' in inner ? String(inner.code) : ''
    return { reason: said || code || 'no answer' }
  }
}
