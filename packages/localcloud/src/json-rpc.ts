/** Calls one method of an Ethereum node and returns its result. */
export async function callRpc(url: string, method: string, params: unknown[] = []): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(30_000),
  })
  const answer = (await response.json()) as { result?: unknown; error?: { message: string } }
  if (answer.error) throw new Error(`${method}: ${answer.error.message}`)
  return answer.result
}

/** For methods that answer with a string of hexadecimal digits. */
export async function callRpcForHex(url: string, method: string, params: unknown[] = []): Promise<string> {
  const result = await callRpc(url, method, params)
  if (typeof result !== 'string') throw new Error(`${method} answered without a value.`)
  return result
}
