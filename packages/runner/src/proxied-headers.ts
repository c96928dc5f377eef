import { ROUTER_CREDENTIAL_HEADER } from '@agentctl/contract/runner-constants.ts'

/** Twice what the router lets through, so that it alone decides what is too long. */
export const HEADER_BYTES_MAX = 64 * 1024

/** Headers that concern one connection only; `transfer-encoding` stays, since the body is framed the same way again. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'upgrade',
])

/** Headers for the agent: without those of the connection, and without the router's credential. */
export const requestHeaders = (raw: readonly string[]): string[] => {
  const headers = passHeaders(raw, [], [ROUTER_CREDENTIAL_HEADER, 'expect'])
  // The router says it only for a client that takes trailers, and we pass them on.
  const trailers = raw.some((name, at) => at % 2 === 0 && /^te$/i.test(name) && raw[at + 1] === 'trailers')
  return trailers ? [...headers, 'TE', 'trailers'] : headers
}

/** Headers of the agent's answer. Those of the platform are the runner's own word, so an agent cannot say them. */
export const answerHeaders = (
  raw: readonly string[],
  keep: readonly string[] = [],
  drop: readonly string[] = [],
): string[] => {
  const said = raw.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
  return passHeaders(raw, keep, [...drop, ...said.filter((name) => name.startsWith('x-agentctl-'))])
}

/** Name and value alternate, in the order and spelling in which they came. */
function passHeaders(
  raw: readonly string[],
  keep: readonly string[] = [],
  drop: readonly string[] = [],
): string[] {
  const named = new Set<string>()
  for (let at = 0; at < raw.length; at += 2) {
    if (raw[at]?.toLowerCase() !== 'connection') continue
    for (const token of (raw[at + 1] ?? '').split(',')) named.add(token.trim().toLowerCase())
  }
  const passed: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const lower = name.toLowerCase()
    const hop = HOP_BY_HOP.has(lower) || (named.has(lower) && lower !== 'transfer-encoding')
    if ((hop && !keep.includes(lower)) || drop.includes(lower)) continue
    passed.push(name, raw[at + 1] ?? '')
  }
  return passed
}
