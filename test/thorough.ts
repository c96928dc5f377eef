import { test } from 'vitest'

/** Every fault of the crash suite at every call, as for a nightly run: hours. */
export const isFull = process.env.AGENTCTL_CRASH_FULL === '1'

/** Everything, as CI does; whoever waits at a terminal is spared what takes a minute, which `npm test` says. */
export const isThorough = isFull || process.env.AGENTCTL_THOROUGH === '1'

export const testThoroughly = test.skipIf(!isThorough)
