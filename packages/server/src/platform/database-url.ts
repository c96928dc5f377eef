import { readFileSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'

/** How to reach PostgreSQL: a URL without the settings of TLS, and those as Node's own. */
export interface DatabaseAddress {
  url: string
  ssl: false | { ca?: string; rejectUnauthorized: true }
}

export class DatabaseUrlError extends Error {
  override name = 'DatabaseUrlError'
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Policy 5b: what goes to a database on another machine is encrypted, and only to the very machine that the certificate
 * names. Anything less is refused, whatever the mode is called: `require` encrypts to whoever answers.
 */
export function readDatabaseUrl(text: string): DatabaseAddress {
  const url = URL.parse(text)
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) throw new DatabaseUrlError('must be a postgres:// URL.')
  const mode = url.searchParams.get('sslmode')
  const rootCertificate = url.searchParams.get('sslrootcert')
  for (const name of ['sslmode', 'sslrootcert']) url.searchParams.delete(name)
  for (const name of ['ssl', 'sslnegotiation', 'host']) {
    if (url.searchParams.has(name)) throw new DatabaseUrlError(`must not have ${name} in it.`)
  }
  if (mode === null || mode === 'disable') {
    if (!isThisMachine(url.hostname)) {
      throw new DatabaseUrlError('needs sslmode=verify-full, since the database is on another machine.')
    }
    return { url: url.href, ssl: false }
  }
  if (mode !== 'verify-full') {
    throw new DatabaseUrlError(
      `has sslmode=${/^[a-z-]{1,20}$/.test(mode) ? mode : '…'}, which does not check whom it talks to. Use sslmode=verify-full.`,
    )
  }
  return {
    url: url.href,
    ssl: {
      rejectUnauthorized: true,
      ...(rootCertificate ? { ca: certificateIn(rootCertificate) } : {}),
    },
  }
}

function isThisMachine(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(host)
  return host === 'localhost' || (family !== 0 && loopback.check(host, family === 4 ? 'ipv4' : 'ipv6'))
}

function certificateIn(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    throw new DatabaseUrlError(`names sslrootcert=${path}, which cannot be read.`)
  }
}
