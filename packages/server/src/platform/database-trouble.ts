/** What the driver says of its connections. */
const OF_THE_DRIVER: ReadonlySet<string> = new Set([
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
])

/** What the system says of the way there. */
const OF_THE_SYSTEM: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
])

/**
 * SQLSTATEs that say nothing about what was asked, only that it cannot be done at the moment: whole classes (08: the
 * connection; 53: too many connections, no memory or disk; 57: shutting down, starting up, out of time), a lock that
 * was not to be had, a transaction that took too long, and one that lost against others.
 */
const OF_THE_DATABASE = /^(?:08...|53...|57...|55P03|25P0[34]|40001|40P01)$/

/** Whether an error is a trouble of the database that passes by itself: the same request may be asked again. */
export function isDatabaseTrouble(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false
  const { code } = error
  return OF_THE_DRIVER.has(code) || OF_THE_SYSTEM.has(code) || OF_THE_DATABASE.test(code)
}
