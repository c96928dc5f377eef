/** What takes an agent's machine away and keeps its disk. */
export const REST_KIND = 'rest-agent'

/** What keeps blank machines ready, and what each of them goes through until an agent has it. */
export const KEEP_WARM_KIND = 'keep-warm'
export const WARM_KIND = 'warm-machine'

/** What gives a machine that lost its credential another one. */
export const HEAL_KIND = 'heal-agent'
