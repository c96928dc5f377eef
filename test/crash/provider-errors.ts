import {
  cloudflareFailure,
  cloudflareTroubles,
  type ProviderError,
  troubles,
} from '../providers/provider-errors.ts'
import { isFull } from '../thorough.ts'
import type { FoundPoints } from './campaign.ts'
import { sweepHostnames } from './domain-zone.ts'
import type { Fault } from './faults.ts'
import { errorsInTurn, errorsOf, hostnames, machines, type ProviderErrors } from './stand-in-faults.ts'

const TIMES = 3

/** It was done, and nobody can read that it was. */
const unreadable: ProviderError = {
  name: 'an answer that breaks its own schema, after the effect',
  fault: { kind: 'error-after-effect', status: 200, body: { success: true, result: { id: 7 }, instance: 7 } },
}

/** What leaves something behind where it was not expected comes first: it is to meet what changes something. */
function trickyFirst(errors: readonly ProviderError[]): ProviderError[] {
  const isTricky = ({ fault }: ProviderError): boolean =>
    fault.kind.endsWith('after-effect') || fault.status === 422 || fault.status === 409
  return [...errors.filter(isTricky), ...errors.filter((error) => !isTricky(error))]
}

export const cloudflareErrors: ProviderErrors = {
  name: 'Cloudflare',
  errors: trickyFirst([
    ...cloudflareTroubles.filter(({ fault }) => fault.kind !== 'hang'),
    ...[409, 422].map((status) => ({
      name: String(status),
      fault: { kind: 'status', status, body: cloudflareFailure(1000, 'no') },
    })),
    unreadable,
  ]),
  calls: hostnames,
  isLie: ({ name }, point) => name === '404' && /GET \S+custom_hostnames\/:/.test(point.name),
  refusal: /was given up: Cloudflare does not take this name/,
  clearTraces: sweepHostnames,
}

export const vultrErrors: ProviderErrors = {
  name: 'Vultr',
  errors: trickyFirst([
    // An answer is awaited for half a minute; `providerTimeoutAfterEffect` does so in a nightly run.
    ...troubles.filter(({ fault }) => !fault.kind.startsWith('hang')),
    ...[404, 409, 422].map((status) => ({
      name: String(status),
      fault: { kind: 'status', status, body: { error: 'no', status } },
    })),
    unreadable,
  ]),
  calls: machines,
  isLie: ({ name }, point) => name === '404' && /^GET \S+\/:/.test(point.name),
  refusal: /The provider refused to make a machine/,
  clearTraces: (world) => world.sweep(),
}

/** Campaigns in which the calls of a journey meet these: all of them at all calls, or some at each. */
export function answersAt(found: FoundPoints, provider: ProviderErrors): Fault[] {
  if (isFull) return errorsOf(provider)
  return errorsInTurn(
    provider,
    [...found.values()].flatMap(({ points }) => points),
    TIMES,
  )
}
