import type { Hello, HelloAnswer } from '@agentctl/contract/runner.ts'
import type { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { MachineCaller } from '../platform/http.ts'
import { wakeOperation } from '../platform/operations.ts'
import { Problem } from '../platform/problem.ts'
import { openRouterCredential, sealRouterCredential } from '../platform/router-credential.ts'
import { newToken, tokenHash, tokenKind } from '../platform/tokens.ts'
import type { Wakes } from '../platform/wakes.ts'
import { endBootstrap, findGreeting, findMachine, findMachineByToken, greet } from './machine-store.ts'
import { awaitAgent } from './warm-waiting.ts'

const ADDRESS_PATIENCE_MS = 10_000
const ADDRESS_LOOK_MS = 1000

/**
 * Whose machine credential this is. Its first use ends the bootstrap token: until then a runner whose greeting was
 * answered into nowhere may greet again, afterwards nobody can.
 */
export function machineGate({ db }: Pick<Deps, 'db'>) {
  return async (bearer: string): Promise<MachineCaller | undefined> => {
    if (tokenKind(bearer) !== 'm') return undefined
    const hash = tokenHash(bearer)
    const machine = await findMachineByToken(db.jobs, hash)
    if (!machine) return undefined
    if (machine.fresh && !(await endBootstrap(db.jobs, machine.machineId, hash))) return undefined
    return { machineId: machine.machineId, agentId: machine.agentId }
  }
}

/** Gives a machine its credentials for its one-time bootstrap token. A repeated greeting replaces what was never used. */
export async function greetMachine(
  { db, clock, keyring, wakes }: Pick<Deps, 'db' | 'clock' | 'keyring'> & { wakes: Wakes },
  hello: z.infer<typeof Hello>,
  signal: AbortSignal,
): Promise<z.infer<typeof HelloAnswer>> {
  const refused = () =>
    new Problem('unauthenticated', 'This bootstrap token is unknown or was used.', { fix: '' })
  if (tokenKind(hello.bootstrapToken) !== 'b') throw refused()
  const bootstrapHash = tokenHash(hello.bootstrapToken)
  const known =
    (await findGreeting(db.jobs, bootstrapHash)) ??
    (await awaitAgent({ db, clock, wakes }, bootstrapHash, signal))
  if (known === 'refused') throw refused()
  if ('waiting' in known) return known
  const listenAddress = await addressOf({ db, wakes }, known, signal)

  const token = newToken('m')
  const credential = newToken('m')
  const sealed = sealRouterCredential(keyring, known.id, credential)
  const now = clock.now()
  await db.work(async (tx) => {
    await wakeOperation(tx, known.agentId)
    const greeting = { bootstrapHash, tokenHash: tokenHash(token.reveal()), sealed, now }
    if (!(await greet(tx, known.id, greeting))) throw refused()
  })
  return {
    machineId: known.id,
    machineToken: token.reveal(),
    routerCredential: openRouterCredential(keyring, known.id, sealed).reveal(),
    listenAddress,
  }
}

/** The address that the provider gave it. Only the worker asks the provider; a machine may be quicker than that. */
async function addressOf(
  { db, wakes }: Pick<Deps, 'db'> & { wakes: Wakes },
  machine: { id: string; agentId: string },
  signal: AbortSignal,
): Promise<string> {
  const wake = wakes.of(machine.agentId)
  try {
    const deadline = performance.now() + ADDRESS_PATIENCE_MS
    for (;;) {
      const row = await findMachine(db.jobs, machine.id)
      if (row?.address && (row.state === 'created' || row.state === 'ready')) return row.address
      if (performance.now() > deadline || signal.aborted) {
        throw new Problem('unavailable', 'The address of this machine is not known yet.', {
          retryAfterSeconds: 1,
        })
      }
      await wakeOperation(db.jobs, machine.agentId)
      await wake.next(ADDRESS_LOOK_MS, signal)
    }
  } finally {
    wake.close()
  }
}
