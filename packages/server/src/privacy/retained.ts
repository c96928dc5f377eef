/**
 * Policy 6d: why billing records outlive their account, and for how long. Kept apart and no longer anybody's; see
 * `retained` in the migrations.
 */
export const LEGAL_BASIS =
  'Act on the Consumer Protection in Electronic Commerce (Korea), Article 6, and its Enforcement Decree, Article 6: records of payments and of what was supplied for them'
const YEARS = 5

export function retainedUntil(erasedAt: Date): Date {
  const until = new Date(erasedAt)
  until.setUTCFullYear(until.getUTCFullYear() + YEARS)
  return until
}
