import type { NoticeWebhook } from '@agentctl/contract/identity.ts'
import { pairs } from '../table.ts'
import { relative } from '../times.ts'

export const describeWebhook = (webhook: NoticeWebhook): string =>
  pairs([
    ['url', webhook.url],
    ['set', relative(webhook.createdAt, new Date())],
    ['delivered', webhook.deliveredAt && relative(webhook.deliveredAt, new Date())],
    ['failing', webhook.failingSince && `since ${webhook.failingSince}: ${webhook.lastError ?? ''}`],
  ])
