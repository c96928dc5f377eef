import { randomText } from '../platform/ids.ts'

const LABEL_MAX = 63
const SUFFIX_LENGTH = 6

/** The label that an agent would like to have: its names, if they fit. */
export function wantedLabel(agent: string, namespace: string): string {
  const label = legal(`${agent}-${namespace}`)
  return label.length <= LABEL_MAX ? label : suffixedLabel(agent, namespace)
}

/** A label that nobody has: two pairs of names may ask for the same one, and deleted agents keep theirs. */
export function suffixedLabel(agent: string, namespace: string): string {
  const room = LABEL_MAX - SUFFIX_LENGTH - 1
  const start = legal(`${agent}-${namespace}`).slice(0, room).replace(/-+$/, '')
  return `${start}-${randomText(SUFFIX_LENGTH)}`
}

/** Browsers take a label with hyphens in third and fourth place for an encoded one and may refuse it. */
function legal(label: string): string {
  return label.slice(2, 4) === '--' ? `a-${label}` : label
}
