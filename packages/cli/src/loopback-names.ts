/**
 * Names under .localhost are loopback by RFC 6761, but not every resolver knows: they are connected to 127.0.0.1.
 * `host` is what the Host header has to say then.
 */
export function connectTo(url: URL): { url: URL; host?: string } {
  if (url.protocol !== 'http:' || !url.hostname.endsWith('.localhost')) return { url }
  const target = new URL(url)
  target.hostname = '127.0.0.1'
  return { url: target, host: url.host }
}

export const isLoopback = ({ hostname }: URL): boolean =>
  hostname === 'localhost' ||
  hostname.endsWith('.localhost') ||
  hostname === '[::1]' ||
  /^127\.\d+\.\d+\.\d+$/.test(hostname)
