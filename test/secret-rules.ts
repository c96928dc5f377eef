import { tokenKind } from '@agentctl/server/platform/tokens.ts'
import { lintSource } from '@secretlint/core'
import { creator as recommended } from '@secretlint/secretlint-rule-preset-recommend'

/** What secretlint does not know: our own, and those of whom we work with. */
const forms: readonly { name: string; form: RegExp; isOne?: (text: string) => boolean }[] = [
  // Examples have a wrong checksum.
  { name: 'a token of ours', form: /\bactl_\w{38}\b/g, isOne: (text) => tokenKind(text) !== undefined },
  { name: 'a secret of a Stripe webhook', form: /\bwhsec_[\w+/=]{32,}/g },
  { name: 'a token of Cloudflare', form: /\bcf(?:k|ut|at)_\w{40,}/g },
  // Older tokens and those of others are only known by the name before them.
  { name: 'a token of Cloudflare', form: /cloudflare.{0,40}?[^\w-][\w-]{40}(?![\w-])/gi },
  { name: 'a secret of Twilio', form: /(?:twilio|auth_?token).{0,40}?\b[0-9a-f]{32}\b/gi },
  { name: 'a key of Twilio', form: /\bSK[0-9a-f]{32}\b/g },
  { name: 'a key of Vultr', form: /(?:vultr|VULTR).{0,40}?\b[A-Z0-9]{36}\b/g },
  // Theirs does without the short ones.
  { name: 'a private key', form: /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[\w+/]{16}/g },
]

const config = {
  rules: [
    {
      id: '@secretlint/secretlint-rule-preset-recommend',
      rule: recommended,
      rules: [{ id: '@secretlint/secretlint-rule-aws', options: { enableIDScanRule: true } }],
    },
  ],
}

/** Where a file has a secret, and of which kind; never the secret itself. */
export async function findSecrets(path: string, text: string): Promise<string[]> {
  const { messages } = await lintSource({
    source: { filePath: path, content: text, contentType: 'text' },
    options: { config, noPhysicFilePath: true },
  })
  const found = messages.map(({ loc, ruleId }) => ({
    line: loc.start.line,
    name: ruleId.split('-rule-').at(-1),
  }))
  for (const { name, form, isOne } of forms) {
    for (const match of text.matchAll(form)) {
      if (!isOne || isOne(match[0])) found.push({ line: text.slice(0, match.index).split('\n').length, name })
    }
  }
  return found.map(({ line, name }) => `${path}:${line}: ${name}`)
}
