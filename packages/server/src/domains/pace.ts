/** Looks are frequent while somebody waits, and rare in the long run: [until this age, every so often], in seconds. */
const LADDER: readonly (readonly [age: number, every: number])[] = [
  [20, 1],
  [120, 5],
  [600, 15],
  [1800, 60],
  [3600, 120],
  [6 * 3600, 300],
  [24 * 3600, 1800],
]
const LONG_RUN_SECONDS = 3600

/** Seconds until the next look at a domain that is not live, by when somebody last asked about it. */
export function pauseAfter(attendedAt: Date, now: Date): number {
  const age = (now.getTime() - attendedAt.getTime()) / 1000
  return LADDER.find(([until]) => age < until)?.[1] ?? LONG_RUN_SECONDS
}

/** How long one may take until it is live; the provider forgets it after as long. */
export const GIVEN_UP_SECONDS = 7 * 86_400
/** A live one is looked at once a day, and twice before it counts as lost. */
export const LIVE_LOOK_SECONDS = 86_400
export const DOUBT_SECONDS = 300
export const DOUBTS_MAX = 2
