import { isIP } from 'node:net'
import type { AgentStatus } from '@agentctl/contract/agents.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import { faultOf } from '../platform/fault.ts'
import { openRouterCredential } from '../platform/router-credential.ts'
import type { Secret } from '../platform/secret.ts'
import { findRouteRow, type RouteRow } from './store.ts'

/** Where a name, or a name of somebody's own, leads. */
export interface Route {
  /** Of a name of somebody's own. */
  domainId: string | undefined
  /** False for a name of somebody's own that is not known to be theirs yet: nobody is let in under it. */
  isOpen: boolean
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
  /** Undefined for a name that leads nowhere. Throws when that cannot be found out now. */
  find(name: string): Promise<Route | undefined>
  /** The machine did not answer there: look again before the next request. */
  forget(name: string): void
  /** How many names are remembered. */
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

/** Names that nobody has are endless, and asking for them is free. */
const UNKNOWN_NAMES_MAX = 10_000
const LOOK_UPS_MAX = 500
/** A notification may be lost with its connection; what is older than this is read again. */
const READ_AGAIN_AFTER_MS = 60_000

class RoutesUnavailable extends Error {
  override name = 'RoutesUnavailable'
}

/** Remembers where names lead until the database says that it has changed. */
export async function openRouteTable(
  { db, keyring, log }: Pick<Deps, 'db' | 'keyring' | 'log'>,
  find: (sql: Sql, name: string) => Promise<RouteRow | undefined> = findRouteRow,
): Promise<RouteTable> {
  const known = new Map<string, Remembered>()
  const unknown = new Map<string, Remembered>()
  const namesOfAgent = new Map<string, Set<string>>()
  const lookUps = new Map<string, LookUp>()

  const drop = (name: string): void => {
    const agentId = known.get(name)?.route?.agentId
    const names = agentId === undefined ? undefined : namesOfAgent.get(agentId)
    names?.delete(name)
    if (agentId !== undefined && names?.size === 0) namesOfAgent.delete(agentId)
    known.delete(name)
    unknown.delete(name)
  }
  const remember = (name: string, route: Route | undefined): void => {
    drop(name)
    const entry = { route, readAt: performance.now() }
    if (route) {
      known.set(name, entry)
      namesOfAgent.set(route.agentId, (namesOfAgent.get(route.agentId) ?? new Set()).add(name))
      return
    }
    unknown.set(name, entry)
    const [oldest] = unknown.keys()
    if (unknown.size > UNKNOWN_NAMES_MAX && oldest !== undefined) unknown.delete(oldest)
  }
  const changed = (agentId: string): void => {
    const names = namesOfAgent.get(agentId)
    if (names === undefined) unknown.clear()
    else for (const name of [...names]) drop(name)
    // What these are reading may be from before the change: they answer those who wait, and nobody after them.
    lookUps.clear()
  }
  const hostnameChanged = (hostname: string): void => {
    drop(hostname)
    lookUps.delete(hostname)
  }
  const forgetAll = (): void => {
    known.clear()
    unknown.clear()
    namesOfAgent.clear()
    lookUps.clear()
  }
  // Called at each new connection: what was announced while there was none has been missed.
  await db.listen('agents', changed, forgetAll)
  await db.listen('hostnames', hostnameChanged, forgetAll)

  const read = async (name: string, lookUp: LookUp): Promise<Route | undefined> => {
    try {
      const row = await find(db.jobs, name)
      const route = row && routeOf(row, keyring)
      if (lookUps.get(name) === lookUp) remember(name, route)
      return route
    } finally {
      if (lookUps.get(name) === lookUp) lookUps.delete(name)
    }
  }
  const lookUpOnce = (name: string): Promise<Route | undefined> => {
    const underWay = lookUps.get(name)
    if (underWay?.answer) return underWay.answer
    if (lookUps.size >= LOOK_UPS_MAX)
      return Promise.reject(new RoutesUnavailable('too many look-ups at once'))
    const lookUp: LookUp = {}
    lookUps.set(name, lookUp)
    lookUp.answer = read(name, lookUp)
    return lookUp.answer
  }

  return {
    async find(name) {
      const entry = known.get(name) ?? unknown.get(name)
      if (entry && performance.now() - entry.readAt < READ_AGAIN_AFTER_MS) return entry.route
      try {
        return await lookUpOnce(name)
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
  return {
    domainId: row.domainId ?? undefined,
    isOpen: row.isOpen,
    agentId: row.agentId,
    name: row.name,
    status: row.status,
    machine: machineOf(row, keyring),
  }
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
