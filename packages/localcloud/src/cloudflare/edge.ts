import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import type { CloudflareState } from './cloudflare-state.ts'
import { isUnder, plainName } from './dns-answers.ts'
import { EdgeTraffic } from './edge-traffic.ts'

export interface Edge {
  /** Of 127.0.0.1, HTTPS only. */
  port: number
  close(): Promise<void>
}

interface EdgeParts {
  zoneName: string
  state: KeptState<CloudflareState>
  clock: Clock
  authority: CertificateAuthority
  log: (line: string) => void
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Where visitors arrive: ends TLS with the certificate of the name that they ask for, and passes on to the origin. */
export async function startEdge(parts: EdgeParts, preferred: number): Promise<Edge> {
  const certificates = new Certificates(parts)
  const traffic = new EdgeTraffic(parts)
  const server = createServer({
    minVersion: 'TLSv1.2',
    // Without a certificate for the name the handshake fails, as it does at Cloudflare.
    SNICallback: (name, done) => {
      certificates.find(plainName(name)).then(
        (found) => done(null, found),
        (error: Error) => {
          parts.log(`the edge cannot make a certificate for ${name}: ${error.message}`)
          done(null, undefined)
        },
      )
    },
    keepAliveTimeout: 75_000,
    requestTimeout: 0,
  })
  server.on('request', (incoming, response) => traffic.pass(incoming, response))
  server.on('upgrade', (incoming, socket, head) => traffic.passUpgrade(incoming, socket, head))
  server.on('tlsClientError', (_, socket) => socket.destroy())
  const port = await listen(server, preferred)
  return {
    port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      traffic.close()
      await closed
    },
  }
}

async function listen(server: Server, preferred: number): Promise<number> {
  server.listen({ host: '127.0.0.1', port: preferred })
  try {
    await once(server, 'listening')
  } catch (error) {
    const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!isTaken || preferred === 0) throw error
    return listen(server, 0)
  }
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('The edge has no address.')
  return address.port
}

/** One for each hostname that has been issued one, and one for the zone and the names right below it. */
class Certificates {
  private readonly parts: EdgeParts
  private readonly made = new Map<string, Promise<SecureContext>>()
  private readonly zoneSerial = randomBytes(16).toString('hex').replace(/^./, '1')

  constructor(parts: EdgeParts) {
    this.parts = parts
  }

  async find(name: string): Promise<SecureContext | undefined> {
    const { zoneName, state, clock } = this.parts
    const issued = state.value.hostnames.find((one) => one.hostname === name)?.ssl.certificate
    if (issued) return this.make([name], issued)
    const isOneBelow = isUnder(name, zoneName) && !name.slice(0, -zoneName.length - 1).includes('.')
    if (!isOneBelow) return undefined
    const now = clock.now()
    const validity = { serialNumber: this.zoneSerial, issuedAt: now, expiresAt: now + 90 * DAY_MS }
    return this.make([zoneName, `*.${zoneName}`], validity, this.zoneSerial)
  }

  /**
   * Programs judge a certificate by the system's time. Its dates are moved back by as much as the local cloud is ahead,
   * so that one that is to expire in a week expires in a week for them too.
   */
  private make(
    names: string[],
    { serialNumber, issuedAt, expiresAt }: { serialNumber: string; issuedAt: number; expiresAt: number },
    key?: string,
  ): Promise<SecureContext> {
    const aheadMs = this.parts.clock.aheadMs()
    const at = key ?? `${serialNumber} ${aheadMs}`
    const made = this.made.get(at) ?? this.issue(names, serialNumber, issuedAt - aheadMs, expiresAt - aheadMs)
    this.made.set(at, made)
    made.catch(() => this.made.delete(at))
    return made
  }

  private async issue(
    names: string[],
    serialNumber: string,
    from: number,
    to: number,
  ): Promise<SecureContext> {
    const validity = { from: new Date(from - HOUR_MS), to: new Date(to), serialNumber }
    const { certificate, privateKey } = await this.parts.authority.issue(names, validity)
    return createSecureContext({ cert: certificate, key: privateKey, minVersion: 'TLSv1.2' })
  }
}
