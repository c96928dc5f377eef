import { describeWebhook } from '../../../account/webhook-view.ts'
import { defineCommand, required } from '../../../command.ts'

export const set = defineCommand({
  summary: 'Have service messages sent to an address of yours, signed',
  details:
    'Each message is a POST of JSON. agentctl-signature is v1= and the HMAC-SHA256, in hexadecimal, over ' +
    'agentctl-timestamp, a dot and the body, with the secret that is shown here and never again. Answer with 2xx; the ' +
    'same message may come twice, and has the same id. Setting it again makes a new secret.',
  args: { url: required('url', 'https://… on the public internet') },
  examples: ['agentctl account webhook set https://ops.example.com/agentctl'],
  async run(ctx, { url }) {
    const made = await ctx.api('PUT /v1/account/webhook', { body: { url }, repeatable: true })
    ctx.out.result(made, ({ secret, ...webhook }) => `${describeWebhook(webhook)}\nsecret     ${secret}`)
    ctx.out.note('Keep the secret now: it is not shown again. Try it: agentctl account webhook test')
  },
})
