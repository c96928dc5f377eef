import { createHash } from 'node:crypto'
import { policy, type Section } from './policy.ts'

interface Version {
  /** The day at the top of the text. */
  lastUpdated: string
  /** SHA-256 of the text: titles, ids and sentences. */
  hash: string
}

/**
 * Every text that was ever published, newest last. Policy 10a: a changed text is a new row with a new day; nothing but
 * its own row makes the text of today a version.
 */
export const policyVersions: readonly [Version, ...Version[]] = [
  { lastUpdated: '2026-11-25', hash: '3e38415f0da660e3f70d07b2bd26ea037f2fe4c8a94157202f8feb61c6deab29' },
]

export const currentVersion = policyVersions.at(-1) ?? policyVersions[0]

export function hashOfText(text: readonly Section[] = policy): string {
  const said = text.map(({ title, sentences }) => [
    title,
    sentences.map(({ id, text: words }) => [id, words]),
  ])
  return createHash('sha256').update(JSON.stringify(said)).digest('hex')
}

/** What is wrong with a list of versions for a text; undefined for nothing. */
export function versionFault(
  text: readonly Section[] = policy,
  versions: readonly Version[] = policyVersions,
): string | undefined {
  const days = versions.map(({ lastUpdated }) => lastUpdated)
  if (days.some((day, at) => at > 0 && day <= (days[at - 1] ?? '')))
    return 'each version has a later day than the one before'
  if (versions.at(-1)?.hash !== hashOfText(text)) {
    return `the text has changed: add a version with a new day and the hash ${hashOfText(text)}`
  }
  return undefined
}
