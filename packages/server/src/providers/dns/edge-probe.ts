import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import type { Config } from '../../platform/config.ts'
import type { LiveDns } from './live-dns.ts'

/** What our own edge answers under a name, seen from outside. */
export interface EdgeReport {
  /** An answer came over a connection whose certificate holds for the name. Whose answer it is, the body tells. */
  served: boolean
  status: number | undefined
  /** At most its first 4 KiB. */
  body: string
  /** Also one that does not hold. */
  certificate: { issuer: string; expiresAt: Date } | undefined
  /** What is wrong, in a sentence for the user; undefined when it is served. */
  trouble: string | undefined
}

export interface EdgeProbe {
  /** GET of a path under the name, over HTTPS. Never throws. */
  probe(hostname: string, path: string): Promise<EdgeReport>
}

const TIMEOUT_MS = 10_000
const BODY_BYTES_MAX = 4096
const ADDRESSES_MAX = 3

/**
 * Connects to the addresses of our own edge only, which the DNS of our own zone names. Where the user's DNS points to
 * is never called: it may be an address inside our network.
 */
export function openEdgeProbe(
  { target, edgePort, edgeCaFile }: Config['domains'],
  liveDns: Pick<LiveDns, 'findAddresses'>,
): EdgeProbe {
  // Kept, for reading all the authorities takes 50 ms.
  let trusting: SecureContext | undefined
  const trust = (): SecureContext => {
    if (trusting) return trusting
    const own = edgeCaFile ? [readFileSync(edgeCaFile, 'utf8')] : []
    trusting = createSecureContext({ ca: [...getCACertificates('default'), ...own], minVersion: 'TLSv1.2' })
    return trusting
  }
  return {
    async probe(hostname, path) {
      const edge = await liveDns.findAddresses(target)
      if (edge.state !== 'found') return failed(`The address of our own edge, ${target}, cannot be found.`)
      let report = failed('Our edge has no address.')
      for (const host of edge.value.slice(0, ADDRESSES_MAX)) {
        report = await probeAt({ host, port: edgePort, secureContext: trust() }, hostname, path)
        // Every address leads to the same edge; another one is worth a try only if nobody was there.
        if (report.served || report.certificate) return report
      }
      return report
    },
  }
}

async function probeAt(
  at: { host: string; port: number; secureContext: SecureContext },
  hostname: string,
  path: string,
): Promise<EdgeReport> {
  const late = AbortSignal.timeout(TIMEOUT_MS)
  let socket: TLSSocket | undefined
  try {
    // What does not hold is told with what it is; nothing is sent over it.
    socket = await handshake({ ...at, servername: hostname, rejectUnauthorized: false }, late)
    const certificate = certificateOf(socket)
    if (!socket.authorized) {
      return { ...failed(troubleOfCertificate(String(socket.authorizationError), hostname)), certificate }
    }
    return { served: true, certificate, trouble: undefined, ...(await get(socket, hostname, path, late)) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    return failed(late.aborted ? 'Our edge did not answer in time.' : troubleOfConnection(code, hostname))
  } finally {
    socket?.destroy()
  }
}

function handshake(options: ConnectionOptions, late: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...options, ALPNProtocols: ['http/1.1'] })
    late.addEventListener('abort', () => socket.destroy(new Error('late')), { once: true })
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
  })
}

function get(
  socket: TLSSocket,
  hostname: string,
  path: string,
  signal: AbortSignal,
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { host: hostname, accept: '*/*', 'user-agent': 'agentctl-probe', connection: 'close' }
    const asking = request({ createConnection: () => socket, path, headers, signal }, (answer) => {
      const { statusCode: status } = answer
      const chunks: Buffer[] = []
      let bytes = 0
      const finish = (): void => {
        resolve({ status, body: Buffer.concat(chunks).subarray(0, BODY_BYTES_MAX).toString() })
      }
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        bytes += chunk.length
        // An endless answer is an answer too.
        if (bytes < BODY_BYTES_MAX) return
        finish()
        asking.destroy()
      })
      answer.once('end', finish)
      answer.once('error', reject)
    })
    asking.once('error', reject)
    asking.end()
  })
}

function certificateOf(socket: TLSSocket): EdgeReport['certificate'] {
  const { issuer, valid_to } = socket.getPeerCertificate()
  if (!issuer || !valid_to) return undefined
  const name = [issuer.O, issuer.CN].flat().find((part) => part !== undefined)
  return { issuer: name ?? 'an authority without a name', expiresAt: new Date(valid_to) }
}

function failed(trouble: string): EdgeReport {
  return { served: false, status: undefined, body: '', certificate: undefined, trouble }
}

function troubleOfCertificate(code: string, hostname: string): string {
  if (code === 'CERT_HAS_EXPIRED') return `The certificate of ${hostname} has expired.`
  if (code === 'CERT_NOT_YET_VALID') return `The certificate of ${hostname} is not valid yet.`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `Our edge shows a certificate that is not for ${hostname}: its own is not there yet.`
  }
  return `The certificate of ${hostname} is not from an authority that browsers trust (${code}).`
}

function troubleOfConnection(code: string, hostname: string): string {
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') {
    return 'Our edge cannot be reached.'
  }
  // An alert of the edge, which comes as the one or the other.
  if (code.startsWith('ERR_SSL') || code === 'EPROTO')
    return `Our edge has no certificate for ${hostname} yet.`
  return 'Our edge broke the connection off.'
}
