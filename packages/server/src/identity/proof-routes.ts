import type { ResponseOf } from '@agentctl/contract/api.ts'
import type { Deps } from '../deps.ts'
import type { Api, Caller } from '../platform/http.ts'
import { requireRecentLogin } from './access.ts'
import { linkLoginMethod, proveAgain, showAccount } from './accounts.ts'
import type { Pace } from './pace.ts'
import { startPhoneChallenge, verifyPhone } from './phone-login.ts'
import { startWalletChallenge, verifyWallet } from './wallet-login.ts'

type ProofDeps = Pick<Deps, 'config' | 'db' | 'clock' | 'log' | 'pepper' | 'sms' | 'chain'>

/** What answers are evened out by, one for each thing that takes its time. */
export interface Paces {
  send: Pace
  check: Pace
  chain: Pace
}

/** Proofs of somebody who is logged in: that it is still them, and that another phone or wallet is theirs too. */
export function proofRoutes(api: Api, deps: ProofDeps, pace: Paces): void {
  api.on('POST /v1/account/proofs/phone', async ({ caller, body, clientAddress }) => {
    const asked = { phone: body.phone, clientAddress, accountId: caller.accountId }
    return shownChallenge(await startPhoneChallenge(deps, asked, pace.send))
  })
  api.on('POST /v1/account/proofs/phone/verify', async ({ caller, body, clientAddress }) => {
    const { accountId } = caller
    const proof = await verifyPhone(deps, { ...body, clientAddress, accountId }, pace.check)
    await proveAgain(deps, caller, proof)
    return undefined
  })
  api.on('POST /v1/account/proofs/wallet', async ({ caller, body, clientAddress }) => {
    const { accountId } = caller
    const asked = { ...body, chainId: body.chainId, clientAddress, purpose: 'prove', accountId } as const
    const { message, expiresAt } = await startWalletChallenge(deps, asked)
    return { message, expiresAt: expiresAt.toISOString() }
  })
  api.on('POST /v1/account/proofs/wallet/verify', async ({ caller, body, clientAddress }) => {
    const { accountId } = caller
    const signed = { ...body, clientAddress, purpose: 'prove', accountId } as const
    await proveAgain(deps, caller, await verifyWallet(deps, signed, pace.chain))
    return undefined
  })

  api.on('POST /v1/account/phone', async ({ caller, body, clientAddress }) => {
    requireRecentLogin(caller, deps.clock.now())
    const asked = { phone: body.phone, clientAddress, accountId: caller.accountId }
    return shownChallenge(await startPhoneChallenge(deps, asked, pace.send))
  })
  api.on('POST /v1/account/phone/verify', async ({ caller, body, clientAddress }) => {
    requireRecentLogin(caller, deps.clock.now())
    const { accountId } = caller
    const proof = await verifyPhone(deps, { ...body, clientAddress, accountId }, pace.check)
    await linkLoginMethod(deps, caller, proof)
    return shownAccount(deps, caller)
  })
  api.on('POST /v1/account/wallets', async ({ caller, body, clientAddress }) => {
    requireRecentLogin(caller, deps.clock.now())
    const { accountId } = caller
    const asked = { ...body, chainId: body.chainId, clientAddress, purpose: 'link', accountId } as const
    const { message, expiresAt } = await startWalletChallenge(deps, asked)
    return { message, expiresAt: expiresAt.toISOString() }
  })
  api.on('POST /v1/account/wallets/verify', async ({ caller, body, clientAddress }) => {
    requireRecentLogin(caller, deps.clock.now())
    const { accountId } = caller
    const { message, signature, replaces } = body
    const signed = { message, signature, clientAddress, purpose: 'link', accountId } as const
    await linkLoginMethod(deps, caller, await verifyWallet(deps, signed, pace.chain), replaces)
    return shownAccount(deps, caller)
  })
}

export function shownChallenge(challenge: {
  challengeId: string
  expiresAt: Date
  resendAt: Date
}): ResponseOf<'POST /v1/logins/phone'> {
  return {
    challengeId: challenge.challengeId,
    expiresAt: challenge.expiresAt.toISOString(),
    resendAt: challenge.resendAt.toISOString(),
  }
}

export async function shownAccount(
  deps: Pick<Deps, 'db'>,
  caller: Caller,
): Promise<ResponseOf<'GET /v1/account'>> {
  const account = await showAccount(deps, caller)
  return {
    id: account.id,
    createdAt: account.createdAt.toISOString(),
    termsAcceptedAt: account.termsAcceptedAt.toISOString(),
    phone: account.phoneLinkedAt ? { linkedAt: account.phoneLinkedAt.toISOString() } : null,
    wallets: account.wallets.map(({ address, linkedAt }) => ({ address, linkedAt: linkedAt.toISOString() })),
  }
}
