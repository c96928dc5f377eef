import { z } from 'zod'
import { defineEndpoints } from './endpoint.ts'

export const PolicySentence = z.strictObject({
  id: z.string(),
  text: z.string(),
  /** notice: it tells something, and there is nothing to enforce. */
  status: z.enum(['pass', 'fail', 'notice']),
  checkedAt: z.iso.datetime(),
  /** What was measured: counts, names and times. */
  evidence: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})
export type PolicySentence = z.infer<typeof PolicySentence>

export const PolicyReport = z.strictObject({
  policy: z.strictObject({ lastUpdated: z.iso.date(), hash: z.string() }),
  sentences: z.array(PolicySentence),
  /** The text that comes next: its day, and what it says; null while no change is announced. */
  announced: z
    .strictObject({
      announcedOn: z.iso.date(),
      lastUpdated: z.iso.date(),
      hash: z.string(),
      sentences: z.array(z.strictObject({ id: z.string(), text: z.string() })),
    })
    .nullable(),
})
export type PolicyReport = z.infer<typeof PolicyReport>

export const policyEndpoints = defineEndpoints({
  'GET /v1/policy': {
    id: 'showPolicy',
    summary: 'The privacy policy, sentence by sentence, with the live evidence that it holds',
    access: 'public',
    response: PolicyReport,
  },
  'GET /policy': {
    id: 'showPolicyPage',
    summary: 'The privacy policy, as a page',
    access: 'public',
    rawResponse: 'text/html',
  },
})
