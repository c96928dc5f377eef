import { isIP } from 'node:net'
import type { AgentStatus } from '@agentctl/contract/agents.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { faultOf } from '../platform/log.ts'
import { openRouterCredential } from '../platform/router-credential.ts'
import type { Secret } from '../platform/secret.ts'
import { findRouteRow, type RouteRow } from './store.ts'

/** Where a label leads. */
export interface Route {
  agentId: string
  name: string
  status: Exclude<AgentStatus, 'deleted'>
  machine: RoutedMachine | undefined
}

export interface RoutedMachine {
  id: string
  address: string
  port: number
  credential: Secret
}

export interface RouteTable {
  /** Undefined for a label that leads nowhere. Throws when that cannot be found out now. */
  find(label: string): Promise<Route | undefined>
  /** The machine did not answer there: look again before the next request. */
  forget(label: string): void
  /** How many labels are remembered. */
  readonly size: number
}

interface Remembered {
  route: Route | undefined
  /** On the monotonic clock. */
  readAt: number
}

/** Its identity tells whether it is still the one that may be remembered. */
interface LookUp {
  answer?: Promise<Route | undefined>
}

/** Labels that nobody has are endless, and asking for them is free. */
const UNKNOWN_LABELS_MAX = 10_000
const LOOK_UPS_MAX = 500
/** A notification may be lost with its connection; what is older than this is read again. */
const READ_AGAIN_AFTER_MS = 60_000

class RoutesUnavailable extends Error {
  override name = 'RoutesUnavailable'
}

/** Remembers where labels lead until the database says that it has changed. */
export async function openRouteTable(
  { db, keyring, log }: Pick<Deps, 'db' | 'keyring' | 'log'>,
  find: (sql: Sql, label: string) => Promise<RouteRow | undefined> = findRouteRow,
): Promise<RouteTable> {
  const known = new Map<string, Remembered>()
  const unknown = new Map<string, Remembered>()
  const labelOfAgent = new Map<string, string>()
  const lookUps = new Map<string, LookUp>()

  const drop = (label: string): void => {
    const agentId = known.get(label)?.route?.agentId
    if (agentId !== undefined) labelOfAgent.delete(agentId)
    known.delete(label)
    unknown.delete(label)
  }
  const remember = (label: string, route: Route | undefined): void => {
    drop(label)
    const entry = { route, readAt: performance.now() }
    if (route) {
      known.set(label, entry)
      labelOfAgent.set(route.agentId, label)
      return
    }
    unknown.set(label, entry)
    const [oldest] = unknown.keys()
    if (unknown.size > UNKNOWN_LABELS_MAX && oldest !== undefined) unknown.delete(oldest)
  }
  const changed = (agentId: string): void => {
    const label = labelOfAgent.get(agentId)
    if (label === undefined) unknown.clear()
    else drop(label)
    // What these are reading may be from before the change: they answer those who wait, and nobody after them.
    lookUps.clear()
  }
  const forgetAll = (): void => {
    known.clear()
    unknown.clear()
    labelOfAgent.clear()
    lookUps.clear()
  }
  // Called at each new connection: what was announced while there was none has been missed.
  await db.listen('agents', changed, forgetAll)

  const read = async (label: string, lookUp: LookUp): Promise<Route | undefined> => {
    try {
      const row = await find(db.jobs, label)
      const route = row && routeOf(row, keyring)
      if (lookUps.get(label) === lookUp) remember(label, route)
      return route
    } finally {
      if (lookUps.get(label) === lookUp) lookUps.delete(label)
    }
  }
  const lookUpOnce = (label: string): Promise<Route | undefined> => {
    const underWay = lookUps.get(label)
    if (underWay?.answer) return underWay.answer
    if (lookUps.size >= LOOK_UPS_MAX)
      return Promise.reject(new RoutesUnavailable('too many look-ups at once'))
    const lookUp: LookUp = {}
    lookUps.set(label, lookUp)
    lookUp.answer = read(label, lookUp)
    return lookUp.answer
  }

  return {
    async find(label) {
      const entry = known.get(label) ?? unknown.get(label)
      if (entry && performance.now() - entry.readAt < READ_AGAIN_AFTER_MS) return entry.route
      try {
        return await lookUpOnce(label)
      } catch (error) {
        log.error('A route could not be read', { fault: faultOf(error) })
        // Agents go on being reachable while the database is away; the credential tells a wrong machine.
        if (entry?.route) return entry.route
        throw error
      }
    },
    forget: drop,
    get size() {
      return known.size + unknown.size
    },
  }
}

function routeOf(row: RouteRow, keyring: Deps['keyring']): Route | undefined {
  if (row.status === 'deleted') return undefined
  return { agentId: row.agentId, name: row.name, status: row.status, machine: machineOf(row, keyring) }
}

function machineOf(row: RouteRow, keyring: Deps['keyring']): RoutedMachine | undefined {
  const { machineId, address, port, keyId, nonce, ciphertext } = row
  if (machineId === null || address === null || port === null) return undefined
  if (keyId === null || nonce === null || ciphertext === null) return undefined
  // Only ever the address that was recorded: a name would be resolved by somebody else.
  if (isIP(address) === 0) return undefined
  return {
    id: machineId,
    address,
    port,
    credential: openRouterCredential(keyring, machineId, { keyId, nonce, ciphertext }),
  }
}
