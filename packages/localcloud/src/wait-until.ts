import { setTimeout as pause } from 'node:timers/promises'

/** Asks again and again until the answer is true; false if that did not happen in time. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { withinMs, everyMs = 10 }: { withinMs: number; everyMs?: number },
): Promise<boolean> {
  const deadline = performance.now() + withinMs
  for (;;) {
    if (await condition()) return true
    if (performance.now() >= deadline) return false
    await pause(everyMs)
  }
}
