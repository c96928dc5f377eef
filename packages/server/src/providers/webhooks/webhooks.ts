import { lookup as lookUp } from 'node:dns/promises'
import { request as requestPlain } from 'node:http'
import { request as requestSecure } from 'node:https'
import type { LookupFunction } from 'node:net'
import { isLoopbackAddress, isPublicAddress } from './public-address.ts'

/** What came of one call; the words are for whoever owns the address. */
export type Sent = { accepted: true } | { accepted: false; why: string }

export interface Webhooks {
  /** What is wrong with an address that somebody wants called; undefined for nothing. */
  faultOf(url: string): string | undefined
  /** POST of a document. Never throws, follows nothing, and reads nothing of the answer but its status. */
  send(url: string, body: string, headers: Readonly<Record<string, string>>): Promise<Sent>
}

const TIMEOUT_MS = 5000

/**
 * The third class of hosts: those that users choose for themselves. They are told service messages of their own account
 * and nothing else. Whatever name they have, only public addresses are connected to, each checked just before.
 */
export function openWebhooks({
  allowLoopback,
  resolve = async (host) => (await lookUp(host, { all: true })).map(({ address }) => address),
}: {
  /** In the local cloud: receivers on this machine, without TLS. */
  allowLoopback: boolean
  resolve?: (host: string) => Promise<string[]>
}): Webhooks {
  const mayReach = (address: string): boolean =>
    isPublicAddress(address) || (allowLoopback && isLoopbackAddress(address))
  return {
    faultOf(text) {
      const url = URL.canParse(text) ? new URL(text) : undefined
      if (!url) return 'this is no address'
      const host = bare(url)
      const isHere = allowLoopback && (host === 'localhost' || isLoopbackAddress(host))
      if (url.protocol !== 'https:' && !(isHere && url.protocol === 'http:'))
        return 'it has to begin with https://'
      if (url.username || url.password) return 'it has a user or a password in it'
      if (url.port !== '' && !isHere) return 'its port has to be 443'
      if (/^[\d.]+$|:/.test(host) && !mayReach(host)) return 'it is not on the public internet'
      return undefined
    },
    async send(text, body, headers) {
      const url = new URL(text)
      let addresses: string[]
      try {
        addresses = await resolve(bare(url))
      } catch {
        return { accepted: false, why: 'Its name is not found in DNS.' }
      }
      const [address] = addresses
      // One that leads inside spoils all of them: the same name may answer differently the next time.
      if (address === undefined || !addresses.every(mayReach)) {
        return { accepted: false, why: 'Its name does not lead to the public internet.' }
      }
      return call(url, address, body, headers)
    },
  }
}

const bare = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '')

function call(
  url: URL,
  address: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<Sent> {
  const family = address.includes(':') ? 6 : 4
  // Connected to is what was checked, not what a second look-up would say.
  const pinned: LookupFunction = (_host, options, done) =>
    options.all ? done(null, [{ address, family }]) : done(null, address, family)
  const send = url.protocol === 'https:' ? requestSecure : requestPlain
  return new Promise((resolve) => {
    const outgoing = send(
      url,
      {
        method: 'POST',
        lookup: pinned,
        agent: false,
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      },
      (answer) => {
        const status = answer.statusCode ?? 0
        answer.destroy()
        resolve(
          status >= 200 && status < 300
            ? { accepted: true }
            : { accepted: false, why: `It answered with the status ${status}.` },
        )
      },
    )
    outgoing.on('error', (error) => {
      const late = error.name === 'AbortError' || error.name === 'TimeoutError'
      resolve({
        accepted: false,
        why: late ? 'It did not answer within five seconds.' : 'It could not be reached.',
      })
    })
    outgoing.end(body)
  })
}
