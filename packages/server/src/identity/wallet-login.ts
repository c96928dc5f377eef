import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { SiweMessage } from 'siwe'
import { getAddress, type Hex, isAddress } from 'viem'
import type { Deps } from '../deps.ts'
import { clientNetwork } from '../platform/client-network.ts'
import { secondsAfter } from '../platform/clock.ts'
import { Problem } from '../platform/problem.ts'
import { limits, takeTurn } from './limits.ts'
import type { Pace } from './pace.ts'
import type { Proof } from './proof.ts'
import {
  insertWalletChallenge,
  takeWalletChallenge,
  type WalletChallengeRow,
} from './wallet-challenge-store.ts'

type WalletDeps = Pick<Deps, 'config' | 'db' | 'clock' | 'chain' | 'pepper'>

const CHALLENGE_SECONDS = 300

/** What a signature is for; a message says it, so that one for this is of no use for that. */
export type WalletPurpose =
  | { purpose: 'log in'; accountId: null }
  | { purpose: 'link' | 'prove'; accountId: string }

function statementFor({ purpose, accountId }: WalletPurpose): string {
  switch (purpose) {
    case 'log in':
      return 'Log in to agentctl.'
    case 'link':
      return `Link this wallet to the agentctl account ${accountId}.`
    case 'prove':
      return `Confirm that it is you who changes the agentctl account ${accountId}.`
  }
}

/** Composes what the wallet signs. Nothing in the text comes from the asker but the address. */
export async function startWalletChallenge(
  deps: WalletDeps,
  asked: {
    address: string
    chainId: number | undefined
    clientAddress: string
  } & WalletPurpose,
): Promise<{ message: string; expiresAt: Date }> {
  const { config, db, clock } = deps
  const now = clock.now()
  if (asked.chainId !== undefined && asked.chainId !== config.chain.id) {
    throw new Problem('invalid_request', `body.chainId: logins are signed for chain ${config.chain.id}.`)
  }
  if (!isAddress(asked.address, { strict: false })) {
    throw new Problem('invalid_request', 'body.address: this is no address.')
  }
  await takeWalletTurn(deps, asked.clientAddress, now)
  const nonce = randomBytes(16).toString('hex')
  const expiresAt = secondsAfter(now, CHALLENGE_SECONDS)
  const message = new SiweMessage({
    domain: new URL(config.apiUrl).host,
    address: getAddress(asked.address),
    statement: statementFor(asked),
    uri: config.apiUrl,
    version: '1',
    chainId: config.chain.id,
    nonce,
    issuedAt: now.toISOString(),
    expirationTime: expiresAt.toISOString(),
  }).prepareMessage()
  const nonceHash = sha256(nonce)
  await db.as({ account: asked.accountId, presented: nonceHash.toString('hex') }, (tx) =>
    insertWalletChallenge(tx, {
      nonceHash,
      address: asked.address.toLowerCase(),
      messageHash: sha256(message),
      accountId: asked.accountId,
      now,
      expiresAt,
    }),
  )
  return { message, expiresAt }
}

/**
 * Who signed the message, if it is one that we composed for this purpose and nobody has used yet. Whatever is wrong,
 * the refusal has the same words and takes about the same time.
 */
export async function verifyWallet(
  deps: WalletDeps,
  signed: { message: string; signature: string; clientAddress: string } & WalletPurpose,
  pace: Pace,
): Promise<Proof> {
  const { db, clock, chain } = deps
  const now = clock.now()
  await takeWalletTurn(deps, signed.clientAddress, now)
  const message = parse(signed.message)
  const nonceHash = sha256(message?.nonce ?? '')
  const challenge = await db.as({ account: null, presented: nonceHash.toString('hex') }, (tx) =>
    takeWalletChallenge(tx, nonceHash),
  )
  if (message && challenge && isAnswerTo(deps, message, signed, challenge, now)) {
    const proved = {
      address: getAddress(challenge.address),
      message: signed.message,
      signature: signed.signature as Hex,
    }
    // First without a node: people with a key must be able to log in while the chain is away.
    if ((await chain.signedByKey(proved)) || (await pace.keep(() => chain.acceptedByContract(proved)))) {
      return { method: 'wallet', address: challenge.address }
    }
  } else {
    await pace.imitate()
  }
  throw new Problem('login_failed')
}

function parse(text: string): SiweMessage | undefined {
  try {
    return new SiweMessage(text)
  } catch {
    return undefined
  }
}

/** The stored hash already covers every field; they are compared one by one as well, should it ever not. */
function isAnswerTo(
  { config }: WalletDeps,
  message: SiweMessage,
  signed: { message: string } & WalletPurpose,
  challenge: WalletChallengeRow,
  now: Date,
): boolean {
  return (
    timingSafeEqual(sha256(signed.message), challenge.messageHash) &&
    challenge.accountId === signed.accountId &&
    challenge.expiresAt > now &&
    message.domain === new URL(config.apiUrl).host &&
    message.uri === config.apiUrl &&
    message.statement === statementFor(signed) &&
    message.version === '1' &&
    message.chainId === config.chain.id &&
    message.address.toLowerCase() === challenge.address
  )
}

async function takeWalletTurn({ db, pepper }: WalletDeps, clientAddress: string, now: Date): Promise<void> {
  const network = pepper.hmac(clientNetwork(clientAddress), pepper.versions[0]).toString('hex')
  const turn = await db.as({ account: null }, (tx) => takeTurn(tx, limits.walletPerAddress, network, now))
  if (!turn.allowed) {
    const [oldest = now] = turn.times
    throw new Problem('rate_limited', 'Too many wallet logins from your network.', {
      retryAfterSeconds: limits.walletPerAddress.windowSeconds - (now.getTime() - oldest.getTime()) / 1000,
    })
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
