/** Times are milliseconds by the clock of the local cloud. */
export interface CustomHostname {
  id: string
  hostname: string
  status: 'pending' | 'active' | 'moved' | 'blocked' | 'pending_blocked' | 'pending_deletion' | 'deleted'
  createdAt: number
  ownershipToken: string
  /** Whether it has been seen to point into the zone, so that pointing elsewhere means that it has moved. */
  hasPointedHere: boolean
  /** A control has put it into this state, and DNS does not get it out. */
  isHeld: boolean
  verificationErrors: string[]
  ssl: HostnameSsl
  /** How often it has been looked at since `validatesSince`, and when it is looked at next. */
  checks: number
  nextCheckAt: number
  /** Seven days after this moment, what is not active is deleted. */
  validatesSince: number
}

export interface HostnameSsl {
  id: string
  status:
    | 'initializing'
    | 'pending_validation'
    | 'pending_issuance'
    | 'pending_deployment'
    | 'active'
    | 'validation_timed_out'
    | 'issuance_timed_out'
    | 'deployment_timed_out'
    | 'expired'
    | 'deleted'
  method: 'http' | 'txt'
  settings: Record<string, unknown>
  certificateAuthority: 'google' | 'lets_encrypt' | 'ssl_com'
  /** What the authority wants to see, in a TXT record or in a file. */
  token: string
  validationErrors: string[]
  /** The one that the edge shows. */
  certificate: { serialNumber: string; issuedAt: number; expiresAt: number } | null
}

export interface DnsRecord {
  id: string
  name: string
  type: 'A' | 'AAAA' | 'CNAME' | 'TXT'
  content: string
  proxied: boolean
  ttl: number
  comment: string | null
  tags: string[]
  createdAt: number
  modifiedAt: number
}

/** Records of the rest of the world, which its owners make somewhere else. */
export interface RecordSet {
  name: string
  type: RecordType
  values: string[]
}

export const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'TXT', 'CAA', 'NS'] as const
export type RecordType = (typeof RECORD_TYPES)[number]

export interface CloudflareSettings {
  /** From the creation of a hostname to the first look at its DNS; the pauses after it grow from this one. */
  checkSeconds: number
}

export interface CloudflareState {
  createdAt: number
  records: DnsRecord[]
  fallbackOrigin: { origin: string; createdAt: number; updatedAt: number } | null
  hostnames: CustomHostname[]
  elsewhere: RecordSet[]
  settings: CloudflareSettings
  ports: { dns: number; edge: number }
  /** Where the edge finds the router; null: nowhere. */
  originUrl: string | null
}

export const INITIAL_STATE: CloudflareState = {
  createdAt: 0,
  records: [],
  fallbackOrigin: null,
  hostnames: [],
  elsewhere: [],
  // Cloudflare's own first pause is a minute.
  settings: { checkSeconds: 1 },
  ports: { dns: 0, edge: 0 },
  originUrl: null,
}
