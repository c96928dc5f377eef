import { resolve } from 'node:path'
import { verifyReceipt } from '@agentctl/contract/erasure-receipt.ts'
import { describeErasure } from '../../account/erasure-text.ts'
import { lookAtErasure } from '../../account/pending-erasure.ts'
import { defineCommand, option, optional } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { readTextFile } from '../../text-file.ts'

export const receipt = defineCommand({
  summary: 'Show the signed receipt of a deleted account, or check one offline',
  details:
    'By its id and its token alone, also when nobody is logged in. The machine that asked for the deletion knows both. ' +
    '--verify checks a receipt that was kept, without asking anybody.',
  args: { erasure: optional('id', 'id of the deletion, such as era_…') },
  options: {
    token: option('--token <token>', 'its token'),
    verify: option('--verify <file>', 'check the receipt in this file; exit 1 if it is not as it was signed'),
    publicKey: option('--public-key <base64>', 'the only key to trust'),
  },
  examples: [
    'agentctl account receipt',
    'agentctl account receipt --json > receipt.json',
    'agentctl account receipt --verify receipt.json',
  ],
  async run(ctx, { erasure: id }, { token, verify, publicKey }) {
    if (verify !== undefined) {
      const document = receiptIn(readTextFile(resolve(ctx.cwd, verify)))
      const known = Object.values(ctx.config().ledgerKeys ?? {}).flat()
      const trusted = publicKey === undefined ? known : [publicKey]
      const verdict = await verifyReceipt(document, trusted.length > 0 ? trusted : undefined)
      if (!verdict.valid) {
        throw new Failure('receipt_invalid', verdict.message, { document: verdict })
      }
      ctx.out.result({ ...verdict, keyKnown: trusted.length > 0 }, 'Valid: it is as the service signed it.')
      if (trusted.length === 0) {
        ctx.out.notice('The key is the one in the receipt itself; --public-key gives the one of the service.')
      }
      return
    }
    const { url } = ctx.address()
    const saved = ctx.config().erasures?.[url]
    const wish = id !== undefined && token !== undefined ? { id, token } : saved
    if (!wish || (id !== undefined && id !== wish.id)) {
      throw new Failure('usage', 'Which deletion, and by which token?', {
        fix: 'Give both: agentctl account receipt ID --token TOKEN',
      })
    }
    const found = await lookAtErasure(ctx, wish)
    // The key of the service is kept, so that the receipt can be checked offline later.
    const { receipt: signed } = found
    if (signed && !ctx.config().ledgerKeys?.[url]?.includes(signed.publicKey)) {
      const { keys } = await ctx.api('GET /v1/billing/ledger-keys', { token: null })
      await ctx.saveConfig((config) => {
        config.ledgerKeys = { ...config.ledgerKeys, [url]: keys.map((one) => one.publicKey) }
      })
    }
    ctx.out.result(found, describeErasure)
  },
})

/** A receipt alone, or in what the service answered. */
function receiptIn(text: string): unknown {
  try {
    const document: unknown = JSON.parse(text)
    const isAnswer = typeof document === 'object' && document !== null && 'receipt' in document
    return isAnswer ? document.receipt : document
  } catch {
    return undefined
  }
}
