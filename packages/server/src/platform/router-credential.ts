import type { Keyring, Sealed } from './keyring.ts'
import { Secret } from './secret.ts'

// The room that makes machines seals what the router opens. One rule for both: the value is bound to its machine, so
// that a row copied over another machine's opens nothing.
const associatedWith = (machineId: string): string => `machine/${machineId}`

export function sealRouterCredential(
  keyring: Pick<Keyring, 'seal'>,
  machineId: string,
  credential: Secret,
): Sealed {
  return keyring.seal(Buffer.from(credential.reveal()), associatedWith(machineId))
}

export function openRouterCredential(
  keyring: Pick<Keyring, 'open'>,
  machineId: string,
  sealed: Sealed,
): Secret {
  return new Secret(keyring.open(sealed, associatedWith(machineId)).toString())
}
