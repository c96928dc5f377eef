import { timingSafeEqual } from 'node:crypto'
import type { Operator } from '../platform/config.ts'
import type { Gates } from '../platform/http.ts'
import { tokenHash, tokenKind } from '../platform/tokens.ts'

/** Finds out which operator a credential is of. */
export function operatorGate(operators: readonly Operator[]): NonNullable<Gates['operator']> {
  return (bearer) => {
    if (tokenKind(bearer) !== 'o') return undefined
    const hash = tokenHash(bearer)
    // Each is compared to its end, so that the time tells nothing about any of them.
    const found = operators.filter((one) => timingSafeEqual(one.tokenHash, hash))
    return found[0] && { operator: found[0].name }
  }
}
