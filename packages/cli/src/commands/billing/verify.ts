import { resolve } from 'node:path'
import { verifyLedger } from '@agentctl/contract/ledger-export.ts'
import { defineCommand, option, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { dollars } from '../../money.ts'
import { printable } from '../../output.ts'
import { readTextFile } from '../../text-file.ts'

export const verify = defineCommand({
  summary: 'Check an exported ledger without asking anybody',
  details:
    'Each entry against its hash, the chain of hashes, the balances, and the signature of its head. The key of the ' +
    'service is known from the export (agentctl billing history --json) or from --public-key; exit 1 if anything is wrong.',
  args: { file: required('file', 'the export') },
  options: {
    publicKey: option('--public-key <base64>', 'the only key to trust'),
  },
  examples: ['agentctl billing verify ledger.json', 'agentctl billing verify ledger.json --json'],
  async run(ctx, { file }, { publicKey }) {
    const document = parsed(readTextFile(resolve(ctx.cwd, file)))
    const known = Object.values(ctx.config().ledgerKeys ?? {}).flat()
    const trusted = publicKey === undefined ? known : [publicKey]
    const keyKnown = trusted.length > 0
    const verdict = await verifyLedger(document, keyKnown ? trusted : undefined)
    if (!verdict.valid) {
      throw new Failure('ledger_invalid', printable(verdict.message), {
        ...(verdict.fault === 'untrusted'
          ? {
              fix: 'Export it on this machine, which learns the key: agentctl billing history --json > ledger.json',
            }
          : {}),
        document: { ...verdict, keyKnown },
      })
    }
    ctx.out.result(
      { ...verdict, keyKnown },
      `Valid: ${verdict.entries === 1 ? '1 entry' : `${verdict.entries} entries`}, balance ${dollars(verdict.balanceMicros)}, signed ` +
        `${printable(verdict.signedAt)} by key ${printable(verdict.keyId)}.`,
    )
    if (!keyKnown) {
      ctx.out.notice(
        'The key is the one in the file itself, and this machine knows no other: whoever wrote the file may have made ' +
          'it.\nagentctl billing history --json learns the key of the service; --public-key gives it.',
      )
    }
  },
})

/** Some shells and editors put a mark of the byte order before what they write. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    // Not even JSON is not an export either, and is told so.
    return undefined
  }
}
