import type { IncomingMessage } from 'node:http'

/** What a request asks for, once its Host and its target agree. */
export interface RequestTarget {
  /** The first label under the agent domain; undefined when the host is not one of ours. */
  label: string | undefined
  /** As the client wrote it, for the agent. */
  host: string
  path: string
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const AUTHORITY = /^([A-Za-z0-9._-]+)(?::\d{1,5})?$/
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)(.*)$/i

/**
 * Undefined when the request contradicts itself: two Hosts, none, one that is no host name, or a target that names
 * another host. Whoever picks one of two answers differently from the next program in the chain is how requests get
 * smuggled.
 */
export function readTarget(
  request: Pick<IncomingMessage, 'rawHeaders' | 'url' | 'method'>,
  agentDomain: string,
): RequestTarget | undefined {
  const hosts = request.rawHeaders.filter(
    (_, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === 'host',
  )
  const [host] = hosts
  if (host === undefined || hosts.length > 1) return undefined
  const hostname = hostnameOf(host)
  const path = pathOf(request.url ?? '', request.method ?? '', hostname)
  if (hostname === undefined || path === undefined) return undefined
  return { label: labelUnder(hostname, agentDomain), host, path }
}

/** Lower case, without port and without the dot of the root. */
function hostnameOf(authority: string): string | undefined {
  return AUTHORITY.exec(authority)?.[1]?.toLowerCase().replace(/\.$/, '')
}

function pathOf(url: string, method: string, hostname: string | undefined): string | undefined {
  if (url.startsWith('/')) return url
  if (url === '*' && method === 'OPTIONS') return url
  const [, authority, rest] = ABSOLUTE_FORM.exec(url) ?? []
  if (authority === undefined || rest === undefined || hostnameOf(authority) !== hostname) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}

function labelUnder(hostname: string, agentDomain: string): string | undefined {
  const suffix = `.${agentDomain.toLowerCase()}`
  if (!hostname.endsWith(suffix)) return undefined
  const label = hostname.slice(0, -suffix.length)
  return LABEL.test(label) ? label : undefined
}
