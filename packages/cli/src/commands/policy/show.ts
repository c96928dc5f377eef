import { defineCommand } from '../../command.ts'
import { sentenceLines } from '../../policy/sentence-text.ts'

export const show = defineCommand({
  summary: 'Show the privacy policy of the service',
  details:
    'Each sentence has an id, under which notes, tests and the evidence of agentctl policy verify name it.',
  examples: ['agentctl policy show', 'agentctl policy show --json | jq -r .sentences[].text'],
  async run(ctx) {
    const report = await ctx.api('GET /v1/policy', { token: null })
    const document = {
      policy: report.policy,
      sentences: report.sentences.map(({ id, text }) => ({ id, text })),
    }
    ctx.out.result(document, ({ policy, sentences }) =>
      [
        `Privacy policy, last updated ${policy.lastUpdated}`,
        '',
        ...sentences.flatMap((sentence) => sentenceLines(sentence)),
      ].join('\n'),
    )
  },
})
