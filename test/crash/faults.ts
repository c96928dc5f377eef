import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import type { Fault as ChainFault } from '@agentctl/server/billing/testing/paying.ts'
import { methodNames } from './call-names.ts'
import type { Arming, Hit, Point } from './control.ts'
import { brokenInvariants } from './invariants.ts'
import { cards, machines, standInFault } from './stand-in-faults.ts'
import type { World } from './world.ts'

/** What goes wrong at a point. New kinds are added here as data; the campaign knows none of them by name. */
export interface Fault {
  name: string
  /** Which points it makes sense at. */
  appliesTo(point: Point): boolean
  /** Sent by the process to itself when it reaches the point; absent when the fault is not in the process. */
  signal?: Arming['signal']
  /** Prepared before the operation begins, such as a fault of a stand-in. */
  prepare?(world: World, point: Point): Promise<Prepared>
  /** What the user is told instead where this is a refusal at one of these points; only the invariants hold then. */
  refusal?(points: Point[]): RegExp | undefined
  /** While the process is held by SIGSTOP; it goes on afterwards. */
  whileHeld?(world: World, hit: Hit): Promise<void>
  /** Which point meets what, where that differs. */
  told?: string[]
  /** How many points of an operation one run hits, one after another; several save runs. One unless told. */
  perRun?: number
  /** What the platform does later by itself against traces that this fault may leave. */
  clearTraces?(world: World): Promise<void>
}

export interface Prepared {
  /** Takes it away again. */
  undo(): Promise<void>
  /** Whether it has come to pass; it has where this is not told. */
  isMet?(): Promise<boolean>
}

/** What a restart costs is little beside what leads up to it. */
export const kill: Fault = { name: 'kill -9', appliesTo: () => true, signal: 'SIGKILL', perRun: 8 }

/** Longer than the lease of the worlds, and time for another worker to finish. */
const HELD_MS = 60_000
/** By then it shows that nobody else can go on, since the sleeper holds what they need. */
const STUCK_MS = 6_000
const REFUSING_MS = 300

/** A worker that sleeps past its lease wakes up in a world in which another one has gone on with its work. */
export const sleepPastLease: Fault = {
  name: 'SIGSTOP past the lease',
  appliesTo: ({ role }) => role === 'worker',
  signal: 'SIGSTOP',
  async whileHeld(world) {
    const other = world.startSecondWorker()
    const since = performance.now()
    const isOver = async (): Promise<boolean> => {
      if ((await brokenInvariants(world)).length === 0) return true
      // A process that was stopped inside a transaction keeps its locks; then nobody else can go on.
      return performance.now() - since > STUCK_MS && (await world.hasOpenTransaction())
    }
    await waitUntil(isOver, { withinMs: HELD_MS, everyMs: 50 })
    await other.stop()
  },
  // An order that the sleeper sends when it wakes up cannot be prevented, only found.
  clearTraces: (world) => world.sweep(),
}

/** The database goes away at this moment, with every transaction that is under way, and refuses for a while. */
export const databaseRestart: Fault = {
  name: 'restart of PostgreSQL',
  appliesTo: ({ role, name }) => role !== 'runner' && / › (before|after)$/.test(name),
  signal: 'SIGSTOP',
  perRun: 2,
  whileHeld: (world) => world.cutDatabase(REFUSING_MS),
}

export const providerErrorAfterEffect = standInFault(
  'error of the provider after the effect',
  { kind: 'error-after-effect' },
  machines,
)
export const providerDropAfterEffect = standInFault(
  'connection lost after the effect',
  { kind: 'drop-after-effect' },
  machines,
)
export const providerTimeoutAfterEffect = standInFault(
  'timeout after the effect',
  { kind: 'hang-after-effect' },
  machines,
)

export const cardErrorAfterEffect = standInFault(
  'error of the card processor after the effect',
  { kind: 'error-after-effect' },
  cards,
)
export const cardDropAfterEffect = standInFault(
  'connection to the card processor lost after the effect',
  { kind: 'drop-after-effect' },
  cards,
)
export const cardTimeoutAfterEffect = standInFault(
  'timeout of the card processor after the effect',
  { kind: 'hang-after-effect' },
  cards,
)

const chainCall = /(?:^|› )POST \/ (\S+) › before$/

/** Questions only: a chain is told nothing, so that there is no effect before or after. */
function chainFault(name: string, wrong: Exclude<ReturnType<ChainFault>, undefined>): Fault {
  return {
    name,
    appliesTo: ({ name }) => chainCall.test(name),
    async prepare(world, point) {
      const { node } = world.payments
      const requests: (readonly string[])[] = []
      node.misbehave((_method, _params, asked) => {
        if (methodNames(asked) !== chainCall.exec(point.name)?.[1]) return undefined
        if (!requests.includes(asked)) requests.push(asked)
        return requests.indexOf(asked) === point.nth - 1 ? wrong : undefined
      })
      return { undo: async () => node.misbehave(undefined) }
    },
  }
}

export const chainError = chainFault('error of the node of the chain', { status: 503, body: 'no' })
export const chainDrop = chainFault('connection to the node of the chain lost', 'drop')
export const chainTimeout = chainFault('timeout of the node of the chain', 'hang')
