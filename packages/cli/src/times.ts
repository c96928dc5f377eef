/** Rough duration for people: "45 s", "12 min", "5 h", "3 days". */
export function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** "5 min ago", or "in 3 days". */
export function relative(iso: string, now: Date): string {
  const seconds = (Date.parse(iso) - now.getTime()) / 1000
  if (Math.abs(seconds) < 1) return 'now'
  return seconds < 0 ? `${roughly(-seconds)} ago` : `in ${roughly(seconds)}`
}
