import { defineCommand, flag } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { sentenceLines } from '../../policy/sentence-text.ts'
import { textChanges } from '../../policy/text-changes.ts'

export const show = defineCommand({
  summary: 'Show the privacy policy of the service',
  details:
    'Each sentence has an id, under which notes, tests and the evidence of agentctl policy verify name it. A change is ' +
    'announced ahead by a notice; --next shows the text that comes, and what is new, changed or gone in it.',
  options: { next: flag('--next', 'the text that is announced, instead of the one that holds') },
  examples: [
    'agentctl policy show',
    'agentctl policy show --next',
    'agentctl policy show --json | jq -r .sentences[].text',
  ],
  async run(ctx, _, { next }) {
    const report = await ctx.api('GET /v1/policy', { token: null })
    const { announced } = report
    const now = report.sentences.map(({ id, text }) => ({ id, text }))
    if (next) {
      if (!announced) {
        throw new Failure('not_found', 'No change of the policy is announced', {
          fix: 'See the one that holds: agentctl policy show',
        })
      }
      const { announcedOn, lastUpdated, hash, sentences } = announced
      const changes = textChanges(now, sentences)
      return ctx.out.result({ policy: { lastUpdated, hash, announcedOn }, sentences, changes }, () =>
        [
          `Privacy policy from ${lastUpdated} on, announced on ${announcedOn}`,
          '',
          ...sentences.flatMap((sentence) => sentenceLines(sentence, markOf(changes, sentence.id))),
          '',
          ...(changes.gone.length > 0 ? [`Gone: ${changes.gone.join(', ')}`] : []),
          'new and changed are against the text that holds: agentctl policy show',
        ].join('\n'),
      )
    }
    ctx.out.result({ policy: report.policy, sentences: now }, ({ policy, sentences }) =>
      [
        `Privacy policy, last updated ${policy.lastUpdated}`,
        '',
        ...sentences.flatMap((sentence) => sentenceLines(sentence)),
      ].join('\n'),
    )
    if (announced) {
      ctx.out.note(`It changes on ${announced.lastUpdated}: agentctl policy show --next`)
    }
  },
})

function markOf({ added, changed }: ReturnType<typeof textChanges>, id: string): string {
  return (added.includes(id) ? 'new' : changed.includes(id) ? 'changed' : '').padEnd(8)
}
