import { isIPv4, isIPv6 } from 'node:net'

/**
 * Who is counted as one client: an IPv4 address, or the /64 of an IPv6 address, since a household or a server has a
 * whole one to itself and could be somebody else for each request.
 */
export function clientNetwork(address: string): string {
  if (isIPv4(address)) return address
  const bare = address.replace(/%.*$/, '').toLowerCase()
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(bare)) return bare
  // The URL parser writes an address in its one shortest form.
  const [head = '', tail] = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`
}
