/** What takes an agent's machine away and keeps its disk. */
export const REST_KIND = 'rest-agent'

/** What gives a machine that lost its credential another one. */
export const HEAL_KIND = 'heal-agent'
