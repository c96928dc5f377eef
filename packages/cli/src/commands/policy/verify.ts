import { defineCommand, flag } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { evidenceLines, sentenceLines } from '../../policy/sentence-text.ts'

export const verify = defineCommand({
  summary: 'Show, sentence by sentence, whether the policy holds on the service',
  details:
    'The service measures itself: pass and fail come with what was measured, a notice tells something that nothing can ' +
    'enforce. Exit 1 if any sentence fails.',
  options: { failing: flag('--failing', 'only the sentences that fail') },
  examples: ['agentctl policy verify', 'agentctl policy verify --failing', 'agentctl policy verify --json'],
  async run(ctx, _, { failing: onlyFailing }) {
    const report = await ctx.api('GET /v1/policy', { token: null })
    const count = (wanted: string): number =>
      report.sentences.filter(({ status }) => status === wanted).length
    const shown = report.sentences.filter(({ status }) => !onlyFailing || status === 'fail')
    const failing = report.sentences.filter(({ status }) => status === 'fail').map(({ id }) => id)
    ctx.out.result({ policy: report.policy, sentences: shown }, ({ policy }) =>
      [
        ...shown.flatMap((sentence) => [
          ...sentenceLines(sentence, `${sentence.status.padEnd(6)} `),
          ...evidenceLines(sentence.evidence),
        ]),
        ...(shown.length > 0 ? [''] : []),
        `Policy of ${policy.lastUpdated}: ${count('pass')} pass, ${count('fail')} fail, ${count('notice')} notices.`,
      ].join('\n'),
    )
    if (failing.length === 0) return
    throw new Failure('policy_fails', `The policy does not hold: ${failing.join(', ')}`, {
      fix: 'Tell the people who run this service; the address is in the last sentence of agentctl policy show.',
    })
  },
})
