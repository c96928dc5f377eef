import type { PolicyReport } from '@agentctl/contract/policy.ts'
import { faultOf } from '../platform/fault.ts'
import { accessChecks } from './evidence/access.ts'
import type { Check, Checks, EvidenceDeps, Finding } from './evidence/check.ts'
import { pageChecks } from './evidence/pages.ts'
import { processorChecks } from './evidence/processors.ts'
import { retentionChecks } from './evidence/retention.ts'
import { schemaChecks } from './evidence/schema.ts'
import { type Section, type Sentence, shownText } from './policy.ts'
import { hashOfText, policiesAt, publication } from './policy-versions.ts'

/** The evidence for each sentence that is no notice. */
export const checks: Checks = {
  ...schemaChecks,
  ...accessChecks,
  ...processorChecks,
  ...retentionChecks,
  ...pageChecks,
}

const KEPT_MS = 5000

/** The policy, sentence by sentence, with what was measured for it just now. */
export async function verifyPolicy(deps: EvidenceDeps): Promise<PolicyReport> {
  const sentences: PolicyReport['sentences'] = []
  const run = { ...deps }
  const { current, announced } = policiesAt(deps.clock.now(), deps.published ?? publication)
  const shown = (text: readonly Section[]): Sentence[] =>
    shownText(text, deps.config.privacyContact).flatMap((section) => section.sentences)
  for (const { id, text, notice } of shown(deps.text)) {
    const { holds, evidence } = notice ? { holds: true, evidence: {} } : await look(run, checks[id])
    sentences.push({
      id,
      text,
      status: notice ? 'notice' : holds ? 'pass' : 'fail',
      checkedAt: deps.clock.now().toISOString(),
      evidence,
    })
  }
  return {
    policy: { lastUpdated: current.lastUpdated, hash: hashOfText(deps.text) },
    sentences,
    announced: announced
      ? {
          announcedOn: announced.announcedOn,
          lastUpdated: announced.lastUpdated,
          hash: announced.hash,
          sentences: shown(announced.text).map(({ id, text }) => ({ id, text })),
        }
      : null,
  }
}

/** What cannot be measured does not hold: neither a sentence without evidence nor one whose evidence is out of reach. */
async function look(deps: EvidenceDeps, check: Check | undefined): Promise<Finding> {
  if (!check) return { holds: false, evidence: { fault: 'nothing is measured for this sentence' } }
  try {
    return await check(deps)
  } catch (error) {
    return { holds: false, evidence: { fault: faultOf(error) } }
  }
}

/** For everybody who asks at about the same time, measured once. */
export function keepReport(measure: () => Promise<PolicyReport>): () => Promise<PolicyReport> {
  let report: Promise<PolicyReport> | undefined
  let measuredAt = 0
  return () => {
    if (report && performance.now() - measuredAt < KEPT_MS) return report
    measuredAt = performance.now()
    report = measure().catch((error: unknown) => {
      report = undefined
      throw error
    })
    return report
  }
}
