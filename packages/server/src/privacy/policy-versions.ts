import { createHash } from 'node:crypto'
import { announcedPolicy, type PolicyAnnouncement } from './announced-policy.ts'
import { policy, type Section } from './policy.ts'

interface Version {
  /** The day at the top of the text, from which on it holds. */
  lastUpdated: string
  /** SHA-256 of the text: titles, ids, sentences and tables, which is all that the page says beside its day. */
  hash: string
}

/**
 * Every text that was ever published or announced, newest last. Policy 10a: a changed text is a new row with a new day;
 * nothing but its own row makes a text a version.
 */
export const policyVersions: readonly [Version, ...Version[]] = [
  { lastUpdated: '2026-11-25', hash: '3e38415f0da660e3f70d07b2bd26ea037f2fe4c8a94157202f8feb61c6deab29' },
  { lastUpdated: '2026-11-26', hash: '5f8515e51cbf6ac7ed57913064c12653a99e825cabbfd08efb3e76235d93dbef' },
  { lastUpdated: '2026-12-10', hash: '9c609ebc5cb5f78fc65483054c7f94f37b4690103a3a8b24a89390c6c088a1f4' },
]

/** What was written last, whether it holds already or is announced. */
export const newestText: readonly Section[] = announcedPolicy?.text ?? policy

/** Days between the announcement of a text and its own day, at least. */
export const ANNOUNCED_DAYS = 14

/** What the code knows of the policy: the text, its versions, and the text that comes next. */
export interface Publication {
  text: readonly Section[]
  versions: readonly Version[]
  announced: PolicyAnnouncement | undefined
}
export const publication: Publication = { text: policy, versions: policyVersions, announced: announcedPolicy }

export interface PolicyText extends Version {
  text: readonly Section[]
}

export interface Policies {
  current: PolicyText
  /** Undefined when no change is announced, and from the day on when it has become the current one. */
  announced: (PolicyText & { announcedOn: string }) | undefined
}

/** Which text holds at a moment: an announced one does from the first second of its day (UTC), whatever is deployed. */
export function policiesAt(now: Date, { text, versions, announced }: Publication = publication): Policies {
  const [last, before] = [versions.at(-1), versions.at(-2)]
  if (!last) throw new Error('The policy has no version.')
  if (!announced) return { current: { ...last, text }, announced: undefined }
  const next = { ...last, text: announced.text }
  if (!before || now >= startOf(last.lastUpdated)) return { current: next, announced: undefined }
  return { current: { ...before, text }, announced: { ...next, announcedOn: announced.announcedOn } }
}

/** The day of the newest text that whoever signs up agrees to: the page shows one that is announced as well. */
export function policyDayAt(now: Date, published: Publication = publication): string {
  const { current, announced } = policiesAt(now, published)
  return (announced ?? current).lastUpdated
}

/** The first second of a day, in UTC. */
export const startOf = (day: string): Date => new Date(`${day}T00:00:00Z`)

/** The canonical text has the contact that stands for every other: installations with their own have the same hash. */
export function hashOfText(text: readonly Section[] = policy): string {
  const said = text.map(({ title, sentences, rows }) => [
    title,
    sentences.map(({ id, text: words }) => [id, words]),
    ...(rows ? [rows] : []),
  ])
  return createHash('sha256').update(JSON.stringify(said)).digest('hex')
}

/** What is wrong with a list of versions for a text; undefined for nothing. */
export function versionFault({ text, versions, announced }: Publication = publication): string | undefined {
  const days = versions.map(({ lastUpdated }) => lastUpdated)
  if (days.some((day, at) => at > 0 && day <= (days[at - 1] ?? '')))
    return 'each version has a later day than the one before'
  const texts = announced ? [text, announced.text] : [text]
  for (const [at, one] of texts.entries()) {
    if (versions.at(at - texts.length)?.hash === hashOfText(one)) continue
    return `the text has changed: add a version with a new day and the hash ${hashOfText(one)}`
  }
  const ahead = announced && startOf(days.at(-1) ?? '').getTime() - startOf(announced.announcedOn).getTime()
  if (ahead !== undefined && ahead < ANNOUNCED_DAYS * 86_400_000)
    return `a text is announced at least ${ANNOUNCED_DAYS} days before its own day`
  return undefined
}
