import type { IncomingMessage } from 'node:http'

/** What a request asks for, once its Host and its target agree. */
export interface RequestTarget {
  /** The first label under the agent domain, or a whole name of somebody's own; undefined for what can be neither. */
  name: string | undefined
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
  return { name: nameFor(hostname, agentDomain), host, path }
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

/** A label has no dot and a name of somebody's own has one, so that the two are never taken for each other. */
function nameFor(hostname: string, agentDomain: string): string | undefined {
  const suffix = `.${agentDomain.toLowerCase()}`
  const isOwn = !hostname.endsWith(suffix)
  const name = isOwn ? hostname : hostname.slice(0, -suffix.length)
  const labels = name.split('.')
  if (isOwn ? labels.length === 1 || name.length > 253 : labels.length > 1) return undefined
  return labels.every((label) => LABEL.test(label)) ? name : undefined
}
