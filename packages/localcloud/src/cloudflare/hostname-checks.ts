import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import type { CloudflareState, CustomHostname, HostnameSsl } from './cloudflare-state.ts'
import { EDGE_ADDRESS, isUnder } from './dns-answers.ts'
import type { DnsWorld } from './dns-world.ts'

const DAY_MS = 86_400_000
/** How long Cloudflare goes on looking before it deletes the hostname. */
const VALIDATION_MS = 7 * DAY_MS
const CHECKS_MAX = 75
const PAUSE_SECONDS_MAX = 4 * 3600
const CERTIFICATE_MS = 90 * DAY_MS
const RENEWAL_MS = 30 * DAY_MS
/** Under which name each authority is allowed by a CAA record. */
const CAA_NAMES: Record<HostnameSsl['certificateAuthority'], string> = {
  google: 'pki.goog',
  lets_encrypt: 'letsencrypt.org',
  ssl_com: 'ssl.com',
}
const NEXT_STATUS: Partial<Record<HostnameSsl['status'], HostnameSsl['status']>> = {
  initializing: 'pending_validation',
  pending_issuance: 'pending_deployment',
  pending_deployment: 'active',
}

/** Looks at the DNS of every custom hostname as often as Cloudflare does, and draws the same conclusions. */
export class HostnameChecks {
  private readonly state: KeptState<CloudflareState>
  private readonly clock: Clock
  private readonly dns: DnsWorld
  private readonly dcvUuid: string

  constructor(parts: { state: KeptState<CloudflareState>; clock: Clock; dns: DnsWorld; dcvUuid: string }) {
    this.state = parts.state
    this.clock = parts.clock
    this.dns = parts.dns
    this.dcvUuid = parts.dcvUuid
  }

  /** Does all that is due by the clock. */
  tick(): void {
    for (const hostname of [...this.state.value.hostnames]) {
      this.advance(hostname)
      if (this.clock.now() >= hostname.nextCheckAt) this.check(hostname)
      this.end(hostname)
    }
    this.state.save()
  }

  /** Looks at once, and begins the seven days anew. */
  restart(hostname: CustomHostname): void {
    hostname.checks = 0
    hostname.validatesSince = this.clock.now()
    const { ssl } = hostname
    if (/timed_out$|^expired$/.test(ssl.status) && !hostname.isHeld) ssl.status = 'pending_validation'
    if (ssl.status === 'initializing') ssl.status = 'pending_validation'
    this.check(hostname)
    this.state.save()
  }

  private check(hostname: CustomHostname): void {
    if (!hostname.isHeld) {
      this.lookForOwner(hostname)
      this.lookForControl(hostname)
    }
    const { checkSeconds } = this.state.value.settings
    const isSettled = hostname.status === 'active' && hostname.ssl.status === 'active'
    const growth = hostname.checks < 10 ? 1.05 : 1.15
    const growing = Math.min(checkSeconds * growth ** hostname.checks, PAUSE_SECONDS_MAX)
    hostname.checks += 1
    // What is settled is looked at all the same: names move away, and certificates are renewed.
    const pauseSeconds = isSettled || hostname.checks >= CHECKS_MAX ? PAUSE_SECONDS_MAX : growing
    hostname.nextCheckAt = this.clock.now() + pauseSeconds * 1000
  }

  /** A certificate is issued and brought to the edge step by step. */
  private advance({ ssl, isHeld }: CustomHostname): void {
    const next = NEXT_STATUS[ssl.status]
    if (!next || isHeld) return
    ssl.status = next
    if (next === 'active') ssl.certificate = this.newCertificate()
  }

  private end(hostname: CustomHostname): void {
    const { ssl } = hostname
    const now = this.clock.now()
    if (ssl.certificate && now >= ssl.certificate.expiresAt && ssl.status === 'active') ssl.status = 'expired'
    if (hostname.isHeld || now < hostname.validatesSince + VALIDATION_MS) return
    if (ssl.status === 'pending_validation') ssl.status = 'validation_timed_out'
    if (hostname.status === 'active') return
    const { hostnames } = this.state.value
    hostnames.splice(hostnames.indexOf(hostname), 1)
  }

  private lookForOwner(hostname: CustomHostname): void {
    const name = hostname.hostname
    const chain = this.dns.findChain(name)
    const texts = this.dns.find(`_cf-custom-hostname.${name}`, 'TXT')
    const addresses = this.dns.find(name, 'A')
    // Who cannot be asked has not moved.
    if (!chain || !addresses) return
    const pointsHere = chain.some((one) => isUnder(one, this.dns.zoneName))
    const isProven = texts?.includes(hostname.ownershipToken) ?? false
    if (pointsHere || isProven) {
      hostname.hasPointedHere ||= pointsHere
      if (!pointsHere && hostname.status === 'moved') return
      hostname.status = 'active'
      hostname.verificationErrors = []
    } else if (hostname.status === 'active' && hostname.hasPointedHere) {
      hostname.status = 'moved'
      hostname.validatesSince = this.clock.now()
    }
    if (hostname.status === 'active') return
    hostname.verificationErrors = [
      addresses.length === 0 || chain.length > 0
        ? 'custom hostname does not CNAME to this zone.'
        : 'None of the A or AAAA records are owned by this account and the pre-generated ownership verification token was not found.',
    ]
  }

  private lookForControl(hostname: CustomHostname): void {
    const { ssl } = hostname
    const isRenewal =
      ssl.status === 'active' &&
      ssl.certificate !== null &&
      this.clock.now() >= ssl.certificate.expiresAt - RENEWAL_MS
    if (ssl.status !== 'pending_validation' && ssl.status !== 'expired' && !isRenewal) return
    const error = this.whyNoCertificate(hostname)
    ssl.validationErrors = error === undefined ? [] : [error]
    if (error !== undefined) return
    if (isRenewal) ssl.certificate = this.newCertificate()
    else ssl.status = 'pending_issuance'
  }

  private whyNoCertificate({ hostname: name, ssl }: CustomHostname): string | undefined {
    if (ssl.method === 'txt') {
      const at = `_acme-challenge.${name}`
      const texts = this.dns.find(at, 'TXT')
      // Whoever leaves the challenges to Cloudflare never has to make a TXT record.
      const isDelegated =
        this.dns.findChain(at)?.includes(`${name}.${this.dcvUuid}.dcv.cloudflare.com`) ?? false
      if (!isDelegated && !texts?.includes(ssl.token)) {
        return `no TXT record with the expected value found at ${at}`
      }
    } else if (!this.dns.find(name, 'A')?.includes(EDGE_ADDRESS)) {
      // Cloudflare serves the token itself, to whoever is led to its edge.
      return `the certificate authority encountered an HTTP error while looking for the token of ${name}`
    }
    const caa = this.dns.findCaa(name)
    if (!caa) return 'caa_error: the CAA records could not be looked up'
    const allowed = caa.filter(({ tag }) => tag === 'issue').map(({ value }) => value.split(';')[0]?.trim())
    if (allowed.length === 0 || allowed.includes(CAA_NAMES[ssl.certificateAuthority])) return undefined
    return `caa_error: CAA records block issuance by ${CAA_NAMES[ssl.certificateAuthority]}`
  }

  private newCertificate(): NonNullable<HostnameSsl['certificate']> {
    const issuedAt = this.clock.now()
    const serialNumber = randomBytes(16).toString('hex').replace(/^./, '1')
    return { serialNumber, issuedAt, expiresAt: issuedAt + CERTIFICATE_MS }
  }
}
