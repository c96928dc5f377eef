import { pause } from '../api-client.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { connectTo } from '../loopback-names.ts'

export type Hex = `0x${string}`

/** A node that answers, and says no. */
export class NodeRefusal extends Error {
  override readonly name = 'NodeRefusal'
}

export interface ChainNode {
  /** Asks again where the way to the node is in trouble; every question is safe to repeat. */
  ask(method: string, params: unknown[]): Promise<unknown>
  number(method: string, params: unknown[]): Promise<bigint>
}

/** What the service announces about a chain, as far as a payer needs it. */
export interface PayableChain {
  chain: string
  chainId: number
  rpcUrl: string
  token: { symbol: string; address: string; decimals: number }
  address: string
}

const DELAYS_MS = [250, 1000, 3000]
const TIMEOUT_MS = 10_000

/** Opens the chain's node, after it has said that it is on that chain: on another one a payment would be lost. */
export async function openNode(ctx: Context, { chain, chainId, rpcUrl }: PayableChain): Promise<ChainNode> {
  const url = URL.parse(rpcUrl)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw trouble(chain, 'the service names no web address for it')
  }
  const ask = async (method: string, params: unknown[]): Promise<unknown> => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await once(ctx, url, method, params)
      } catch (error) {
        if (error instanceof NodeRefusal) throw error
        if (ctx.signal.aborted) throw ctx.interruption()
        const why = reasonOf(error)
        ctx.out.debug(`${method} at ${url.host} failed: ${why}`)
        const delay = DELAYS_MS[attempt]
        const hopeless = attempt > 0 && /nothing listens|no such name/.test(why)
        // The whole address may hold the key of a customer of the node, so only its host is told.
        if (delay === undefined || hopeless) throw trouble(chain, `${url.host}: ${why}`, error)
        await pause(delay, ctx.signal)
      }
    }
  }
  const number = async (method: string, params: unknown[]): Promise<bigint> => {
    const answer = await ask(method, params)
    if (typeof answer !== 'string' || !/^0x[0-9a-fA-F]{1,64}$/.test(answer)) {
      throw trouble(chain, `${url.host} answers ${method} without a number`)
    }
    return BigInt(answer)
  }
  let told: bigint
  try {
    told = await number('eth_chainId', [])
  } catch (error) {
    if (error instanceof NodeRefusal) throw trouble(chain, `${url.host}: ${error.message}`, error)
    throw error
  }
  if (told !== BigInt(chainId)) {
    throw new Failure(
      'provider_unavailable',
      `The node at ${url.host} is on chain ${told}, but ${chain} is chain ${chainId}`,
      {
        fix: 'Nothing was signed or paid. Try again later, or pay from elsewhere: agentctl billing deposit --address',
      },
    )
  }
  return { ask, number }
}

const trouble = (chain: string, why: string, cause?: unknown): Failure =>
  new Failure('provider_unavailable', `The node of ${chain} is in trouble: ${why}`, {
    fix: 'Try again in a minute.',
    cause,
  })

async function once(ctx: Context, url: URL, method: string, params: unknown[]): Promise<unknown> {
  const response = await fetch(connectTo(url).url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    redirect: 'error',
    signal: AbortSignal.any([ctx.signal, AbortSignal.timeout(TIMEOUT_MS)]),
  })
  const text = await response.text()
  const answer = parsed(text)
  // Some nodes say their refusals with a status of 4xx; a limit of rates is worth another try.
  if (isRecord(answer) && isRecord(answer.error) && response.status !== 429 && answer.error.code !== -32005) {
    throw new NodeRefusal(String(answer.error.message ?? 'refused without a reason').slice(0, 300))
  }
  if (!response.ok) throw new Error(`it answers with status ${response.status}`)
  if (!isRecord(answer) || !('result' in answer)) throw new Error('it does not answer in JSON-RPC')
  return answer.result
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'it does not answer in time'
  let inner = error
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : ''
  const said = inner instanceof Error ? inner.message : String(inner)
  if (/ECONNREFUSED|bad port/.test(`${code} ${said}`)) return 'nothing listens there'
  if (/ENOTFOUND|EAI_AGAIN/.test(code)) return 'there is no such name'
  return said || code || 'no answer'
}
