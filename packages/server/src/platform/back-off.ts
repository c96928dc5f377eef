const SECONDS_MAX = 30

/**
 * Seconds to wait after so many tries in a row that came to nothing: from one or two on, longer each time, 30 at most,
 * and by chance never the same for all who wait.
 */
export function backOffSeconds(tries: number): number {
  return Math.min(2 ** tries, SECONDS_MAX) * (0.5 + Math.random() / 2)
}
