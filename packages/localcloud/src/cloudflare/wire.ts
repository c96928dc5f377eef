import type { CloudflareState, CustomHostname, DnsRecord } from './cloudflare-state.ts'

export interface ZoneFacts {
  id: string
  name: string
  accountId: string
}

const iso = (at: number): string => new Date(at).toISOString()

export function success(result: unknown, more: object = {}): Response {
  return Response.json({ result, success: true, errors: [], messages: [], ...more })
}

export function wireZone(zone: ZoneFacts, { createdAt }: CloudflareState): object {
  return {
    id: zone.id,
    name: zone.name,
    status: 'active',
    paused: false,
    type: 'full',
    development_mode: 0,
    name_servers: ['ada.ns.cloudflare.com', 'bob.ns.cloudflare.com'],
    vanity_name_servers: [],
    original_name_servers: null,
    original_registrar: null,
    original_dnshost: null,
    created_on: iso(createdAt),
    modified_on: iso(createdAt),
    activated_on: iso(createdAt),
    owner: { id: zone.accountId, name: 'Local cloud', type: 'organization' },
    account: { id: zone.accountId, name: 'Local cloud' },
    meta: {
      cdn_only: false,
      custom_certificate_quota: 0,
      dns_only: false,
      foundation_dns: false,
      page_rule_quota: 3,
      phishing_detected: false,
      step: 4,
    },
  }
}

export function wireRecord(record: DnsRecord): object {
  const { id, name, type, content, proxied, ttl, comment, tags } = record
  return {
    id,
    name,
    type,
    content,
    proxiable: type !== 'TXT',
    proxied,
    ttl,
    meta: {},
    comment,
    tags,
    created_on: iso(record.createdAt),
    modified_on: iso(record.modifiedAt),
  }
}

/** Where a certificate authority of the method `http` looks for its token. */
export function challengeUrl(hostname: string, token: string): string {
  return `http://${hostname}/.well-known/pki-validation/${token.slice(0, 32)}.txt`
}

export function wireHostname(hostname: CustomHostname): object {
  const { id, status, ssl } = hostname
  const name = hostname.hostname
  const { certificate } = ssl
  // As long as the authority waits for them; what was proven once needs no record any more.
  const isWaiting = ssl.status === 'pending_validation' || ssl.status === 'validation_timed_out'
  const records =
    ssl.method === 'txt'
      ? [{ txt_name: `_acme-challenge.${name}`, txt_value: ssl.token }]
      : [{ http_url: challengeUrl(name, ssl.token), http_body: ssl.token }]
  return {
    id,
    hostname: name,
    status,
    created_at: iso(hostname.createdAt),
    ssl: {
      id: ssl.id,
      type: 'dv',
      method: ssl.method,
      status: ssl.status,
      settings: ssl.settings,
      bundle_method: 'ubiquitous',
      wildcard: false,
      certificate_authority: ssl.certificateAuthority,
      ...(isWaiting ? { validation_records: records } : {}),
      ...(ssl.validationErrors.length > 0
        ? { validation_errors: ssl.validationErrors.map((message) => ({ message })) }
        : {}),
      ...(certificate
        ? {
            hosts: [name],
            issuer: ISSUERS[ssl.certificateAuthority],
            serial_number: certificate.serialNumber,
            signature: 'ECDSAWithSHA256',
            uploaded_on: iso(certificate.issuedAt),
            expires_on: iso(certificate.expiresAt),
          }
        : {}),
    },
    ...(status === 'active'
      ? {}
      : {
          ownership_verification: {
            type: 'txt',
            name: `_cf-custom-hostname.${name}`,
            value: hostname.ownershipToken,
          },
          ownership_verification_http: {
            http_url: `http://${name}/.well-known/cf-custom-hostname-challenge/${id}`,
            http_body: hostname.ownershipToken,
          },
        }),
    ...(hostname.verificationErrors.length > 0 ? { verification_errors: hostname.verificationErrors } : {}),
  }
}

const ISSUERS: Record<CustomHostname['ssl']['certificateAuthority'], string> = {
  google: 'GoogleTrustServices',
  lets_encrypt: 'LetsEncrypt',
  ssl_com: 'SSLCorp',
}
