import type { LoginOutcome } from '@agentctl/contract/identity.ts'
import { defineCommand, flag, option } from '../command.ts'
import type { StoredLogin } from '../config-file.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { provePhone } from '../login/prove-phone.ts'
import { proveWallet } from '../login/prove-wallet.ts'
import { readAllInput } from '../standard-input.ts'
import { version } from '../version.ts'
import { walletOptions } from '../wallet/signer.ts'

type LoggedIn = LoginOutcome & { status: 'logged_in' }

const again = 'agentctl login'
const device = `agentctl ${version} on ${process.platform}`

export const login = defineCommand({
  summary: 'Log in by phone code, wallet signature or API key',
  details:
    'Without options it asks. A first login makes the account; it needs your agreement to the terms, ' +
    'and that you are 18 or older.',
  options: {
    phone: option('--phone <number>', 'log in by a code sent to this phone, such as +821012345678'),
    code: option('--code <code>', 'the code, also of an earlier run; else by prompt or stdin'),
    wallet: flag('--wallet', 'log in by a signature of your wallet'),
    ...walletOptions,
    withToken: flag('--with-token', 'read an API key from stdin'),
    acceptTerms: flag('--accept-terms', 'you agree to the terms and are 18 or older'),
  },
  examples: [
    'agentctl login',
    'agentctl login --phone +821012345678',
    'agentctl login --wallet --keystore dev --password-file ~/.dev-password',
    'agentctl login --wallet --address 0x… --signer-cmd \'cast wallet sign --ledger "$(cat)"\'',
    'agentctl login --with-token < key.txt',
  ],
  async run(ctx, _, flags) {
    if (flags.withToken) return loginWithKey(ctx)
    const pending = ctx.config().pending?.[ctx.address().url]
    const usesWallet = flags.wallet || flags.keystore !== undefined || flags.signerCommand !== undefined
    const usesPhone = flags.phone !== undefined || flags.code !== undefined
    if (usesWallet && usesPhone) {
      throw new Failure('usage', 'Give either --phone or --wallet', { fix: 'See: agentctl login --help' })
    }
    // The code of before may be given once more: it has done its part, and only the agreement was missing.
    if (flags.acceptTerms && !usesWallet && flags.phone === undefined && pending?.signupToken !== undefined) {
      return finish(ctx, await acceptTerms(ctx, pending.signupToken))
    }
    const wallet = usesWallet || (!usesPhone && (await prefersWallet(ctx)))
    const agreed = flags.acceptTerms ? { acceptTerms: true } : {}
    const outcome = wallet
      ? await ctx.api('POST /v1/logins/wallet/verify', {
          token: null,
          body: {
            ...(await proveWallet(ctx, flags, (address) =>
              ctx.api('POST /v1/logins/wallet', { token: null, body: { address } }),
            )),
            device,
            ...agreed,
          },
        })
      : await ctx.api('POST /v1/logins/phone/verify', {
          token: null,
          body: {
            ...(await provePhone(ctx, flags, flags.acceptTerms ? `${again} --accept-terms` : again, (phone) =>
              ctx.api('POST /v1/logins/phone', { token: null, body: { phone } }),
            )),
            device,
            ...agreed,
          },
        })
    await finish(ctx, outcome.status === 'logged_in' ? outcome : await askTerms(ctx, outcome))
  },
})

async function prefersWallet(ctx: Context): Promise<boolean> {
  const method = await ctx.prompt.choose({
    message: 'How do you want to log in?',
    flag: '--phone NUMBER, --wallet, or --with-token',
    choices: [
      { name: 'Phone: a code by text message', value: 'phone' },
      { name: 'Wallet: a signature', value: 'wallet' },
    ],
  })
  return method === 'wallet'
}

/** Asked once, when the account is made. */
async function askTerms(
  ctx: Context,
  outcome: LoginOutcome & { status: 'terms_required' },
): Promise<LoggedIn> {
  const { signupToken, terms } = outcome
  if (!ctx.prompt.interactive) {
    await ctx.saveConfig((config) => {
      const expiresAt = new Date(Date.now() + 5 * 60_000).toISOString()
      config.pending = { ...config.pending, [ctx.address().url]: { signupToken, expiresAt } }
    })
    throw new Failure('terms_required', `A new account needs your agreement: ${terms.text} (${terms.url})`, {
      fix: 'If you agree, run: agentctl login --accept-terms',
      next: ['agentctl login --accept-terms'],
    })
  }
  ctx.out.notice(`${terms.text}\n${terms.url}`)
  const agreed = await ctx.prompt.confirm({
    message: 'Do you agree, and are you 18 or older?',
    flag: '--accept-terms',
  })
  if (!agreed) {
    throw new Failure('terms_required', 'No account was made', { fix: 'Nothing is kept of you.' })
  }
  return acceptTerms(ctx, signupToken)
}

const acceptTerms = (ctx: Context, signupToken: string) =>
  ctx.api('POST /v1/logins/accept-terms', { token: null, body: { signupToken, device } })

async function finish(ctx: Context, { token, expiresAt, account, created }: LoggedIn) {
  await remember(ctx, { token, accountId: account.id, via: 'session', expiresAt })
  const { url } = ctx.address()
  ctx.out.result({ account, created, via: 'session', expiresAt, apiUrl: url }, () =>
    created ? `Welcome. Your account is ${account.id}.` : `Logged in as ${account.id}.`,
  )
  if (created) ctx.out.note('Next: agentctl init, then agentctl deploy')
}

async function loginWithKey(ctx: Context) {
  if (!ctx.pipedInput) {
    throw new Failure('missing_answer', '--with-token reads an API key from stdin', {
      fix: 'Run: agentctl login --with-token < FILE',
    })
  }
  const token = (await readAllInput()).trim()
  if (!/^actl_k_[0-9A-Za-z]+$/.test(token)) {
    throw new Failure('usage', 'What came on stdin is not an API key', {
      fix: 'A key starts with actl_k_; make one: agentctl keys create NAME',
    })
  }
  const { account } = await ctx.api('GET /v1/whoami', { token })
  await remember(ctx, { token, accountId: account.id, via: 'key', expiresAt: null })
  ctx.out.result(
    { account, created: false, via: 'key', expiresAt: null, apiUrl: ctx.address().url },
    `Logged in as ${account.id} with an API key.`,
  )
}

async function remember(ctx: Context, login: StoredLogin) {
  const { url } = ctx.address()
  const before = ctx.login()
  await ctx.saveConfig((config) => {
    const namespace = config.logins?.[url]?.namespace
    const keep = config.logins?.[url]?.accountId === login.accountId && namespace !== undefined
    config.apiUrl = url
    config.logins = { ...config.logins, [url]: { ...login, ...(keep ? { namespace } : {}) } }
    delete config.pending?.[url]
  })
  if (before?.via === 'session' && before.token !== login.token) {
    // Nobody could use or find the session that this login replaces. Should the service not hear of it, it expires.
    await ctx.api('POST /v1/logout', { token: before.token, timeoutSeconds: 5 }).catch(() => {})
  }
  if (ctx.env.AGENTCTL_API_KEY) {
    ctx.out.notice('AGENTCTL_API_KEY is set and goes on to be used instead of this login.')
  }
}
