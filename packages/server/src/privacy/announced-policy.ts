import type { Section } from './policy.ts'

export interface PolicyAnnouncement {
  /** The day from which on it is told. */
  announcedOn: string
  text: readonly Section[]
}

/**
 * The whole text that comes next, while there is one: its day and hash are the last row of `policyVersions`. Every
 * account is told by a notice. Once its day has come it is the policy; the next release moves it to `policy.ts`.
 */
export const announcedPolicy: PolicyAnnouncement | undefined = undefined
