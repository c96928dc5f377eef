import { PatientClient } from './patient-client.ts'
import type { World } from './world.ts'
import { signUp } from './world-account.ts'

const CALL_MS = 60_000

/** Another account, that wants the same names. */
export interface Rival {
  api: PatientClient
  agentId: string
}

const rivals = new WeakMap<World, Rival>()

/** Makes the other account; before any process of the world is hit. */
export async function admitRival(world: World): Promise<void> {
  const api = new PatientClient(world.environment.API_URL ?? '', CALL_MS)
  const { token } = await signUp(world.environment.DATABASE_URL ?? '', 2)
  api.token = token
  const { id } = await api.call<{ id: string }>('POST', '/v1/agents', { body: { name: 'rival' } })
  rivals.set(world, { api, agentId: id })
}

export function rivalOf(world: World): Rival {
  const rival = rivals.get(world)
  if (!rival) throw new Error('This world has one account only.')
  return rival
}
