import { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { Sealed } from '../platform/keyring.ts'
import { newToken, tokenHash } from '../platform/tokens.ts'
import type { ProviderMachine } from '../providers/machines/vultr.ts'

/** Pauses before looking for a machine whose order was not answered; after the last look it is ordered again. */
export const LOOK_AGAIN_SECONDS = [0, 2, 8] as const
export const POLL_SECONDS_MAX = 10

/** Quick at first, since an address is often there at once; then as seldom as the provider likes it. */
export function pollPause(polls: number): number {
  return Math.min(0.2 * 2 ** polls, POLL_SECONDS_MAX)
}

export type Found =
  | { state: 'found'; machine: ProviderMachine }
  /** An order went out and it is not known what became of it: look again after a while. */
  | { state: 'look'; looks: number; afterSeconds: number }
  | { state: 'none' }

/**
 * Adopt before create: what carries the label already is the machine, whoever ordered it; of several the oldest, and
 * the others go. `looks` is how often was looked since an order went out, undefined for none.
 */
export async function findOrdered(
  { machines }: Pick<Deps, 'machines'>,
  label: string,
  looks: number | undefined,
): Promise<Found> {
  const [oldest, ...others] = await machines.listByLabel(label)
  if (oldest) {
    for (const other of others) await machines.delete(other.id)
    return { state: 'found', machine: oldest }
  }
  if (looks === undefined || looks >= LOOK_AGAIN_SECONDS.length) return { state: 'none' }
  return { state: 'look', looks: looks + 1, afterSeconds: LOOK_AGAIN_SECONDS[looks + 1] ?? 0 }
}

/** A bootstrap token as an operation remembers it: the same one for every order, whichever of them succeeds. */
export const SealedToken = z.object({ keyId: z.string(), nonce: z.string(), ciphertext: z.string() })
type SealedToken = z.infer<typeof SealedToken>

export function newBootstrap(
  { keyring }: Pick<Deps, 'keyring'>,
  associated: string,
): { hash: Buffer; sealed: SealedToken } {
  const token = newToken('b').reveal()
  const { keyId, nonce, ciphertext }: Sealed = keyring.seal(Buffer.from(token), associated)
  return {
    hash: tokenHash(token),
    sealed: { keyId, nonce: nonce.toString('base64'), ciphertext: ciphertext.toString('base64') },
  }
}

export function openBootstrap(
  { keyring }: Pick<Deps, 'keyring'>,
  sealed: SealedToken | undefined,
  associated: string,
): string {
  if (!sealed) throw new Error('The operation has no bootstrap token.')
  const { keyId, nonce, ciphertext } = sealed
  const text = { keyId, nonce: Buffer.from(nonce, 'base64'), ciphertext: Buffer.from(ciphertext, 'base64') }
  return keyring.open(text, associated).toString()
}
