import { parseDuration } from './command.ts'
import { Failure } from './failure.ts'

/** Rough duration for people: "45 s", "12 min", "5 h", "3 days". */
export function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** An exact duration for people, in hours at the most: "71 h 29 min 30 s". */
export function exactly(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'min'],
    [Math.floor(seconds % 60), 's'],
  ] as const
  const said = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`)
  return said.length === 0 ? '0 s' : said.join(' ')
}

/** "5 min ago", or "in 3 days". */
export function relative(iso: string, now: Date): string {
  const seconds = (Date.parse(iso) - now.getTime()) / 1000
  if (Math.abs(seconds) < 1) return 'now'
  return seconds < 0 ? `${roughly(-seconds)} ago` : `in ${roughly(seconds)}`
}

/** A moment from "10m" (that long ago), "2026-01-31" or "2026-01-31T12:00:00Z", as ISO 8601. */
export function readMoment(flag: string, said: string | undefined): string | undefined {
  if (said === undefined) return undefined
  const seconds = parseDuration(said)
  const at = seconds === undefined ? Date.parse(said) : Date.now() - seconds * 1000
  if (!Number.isNaN(at)) return new Date(at).toISOString()
  throw new Failure(
    'usage',
    `${flag} takes a date such as 2026-01-31, or a duration such as 7d; not '${said}'`,
    {
      fix: 'Correct the time.',
    },
  )
}
