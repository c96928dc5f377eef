import type { Size } from '@agentctl/contract/agent-config.ts'

/** Micro-USD an hour. A stopped agent keeps a snapshot; a suspended one burns nothing. */
export const hourlyMicros: Readonly<Record<Size | 'stopped' | 'suspended', bigint>> = {
  nano: 10_000n,
  small: 20_000n,
  medium: 40_000n,
  large: 80_000n,
  stopped: 1_000n,
  suspended: 0n,
}

/** Days between suspension and the end of the snapshot. */
export const GRACE_DAYS = 14

export interface Quote {
  price: { hourlyMicros: string }
  balance: { creditsMicros: string; runwaySeconds: number | null }
}

/** What a machine of this size costs, and how long the credits of the account last with it. */
export function quote(size: Size): Quote {
  return {
    price: { hourlyMicros: String(hourlyMicros[size]) },
    balance: { creditsMicros: '0', runwaySeconds: null },
  }
}
