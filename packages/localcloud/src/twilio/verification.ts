export const CODE_LIFE_MS = 10 * 60 * 1000
export const MAX_SENDS = 5
export const MAX_CHECKS = 5

export type VerificationStatus = 'pending' | 'approved' | 'canceled' | 'max_attempts_reached' | 'expired'

export interface Verification {
  sid: string
  to: string
  channel: string
  code: string
  /** What was decided; that a pending one has expired follows from the clock. */
  status: Exclude<VerificationStatus, 'expired'>
  checks: number
  sends: { attemptSid: string; channel: string; at: number }[]
  createdAt: number
  updatedAt: number
}

/** A message as it arrived on a phone. */
export interface Message {
  to: string
  at: string
  body: string
  code: string
}

export interface VerifyState {
  verifications: Verification[]
  messages: Message[]
}

export function statusAt(verification: Verification, now: number): VerificationStatus {
  if (verification.status === 'pending' && now >= verification.createdAt + CODE_LIFE_MS) return 'expired'
  return verification.status
}

/** The wire form that Twilio calls a Verification. */
export function showVerification(
  verification: Verification,
  ids: { accountSid: string; serviceSid: string; url: string },
  now: number,
): Record<string, unknown> {
  const status = statusAt(verification, now)
  return {
    sid: verification.sid,
    service_sid: ids.serviceSid,
    account_sid: ids.accountSid,
    to: verification.to,
    channel: verification.channel,
    status,
    valid: status === 'approved',
    lookup: { carrier: null },
    amount: null,
    payee: null,
    send_code_attempts: verification.sends.map((send) => ({
      attempt_sid: send.attemptSid,
      channel: send.channel,
      time: isoSeconds(send.at),
    })),
    sna: null,
    date_created: isoSeconds(verification.createdAt),
    date_updated: isoSeconds(verification.updatedAt),
    url: ids.url,
  }
}

/** The wire form of the answer to a check. */
export function showCheck(
  verification: Verification,
  ids: { accountSid: string; serviceSid: string },
): Record<string, unknown> {
  return {
    sid: verification.sid,
    service_sid: ids.serviceSid,
    account_sid: ids.accountSid,
    to: verification.to,
    channel: verification.channel,
    status: verification.status,
    valid: verification.status === 'approved',
    amount: null,
    payee: null,
    sna_attempts_error_codes: [],
    date_created: isoSeconds(verification.createdAt),
    date_updated: isoSeconds(verification.updatedAt),
  }
}

function isoSeconds(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
