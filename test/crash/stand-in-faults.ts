import type { ProviderError, ProviderFault } from '../providers/provider-errors.ts'
import { type Point, pointText } from './control.ts'
import { cloudflareOf } from './domain-zone.ts'
import type { Fault } from './faults.ts'
import type { World } from './world.ts'

/** Where faults of a stand-in are asked for, and which calls of which programs go to it. */
interface StandInCalls {
  call: RegExp
  url(world: World): string
}

export const machines: StandInCalls = {
  call: /^(GET|POST|PUT|PATCH|DELETE) (\/v2\/[^ ]*) › before$/,
  url: ({ vultrUrl }) => vultrUrl,
}
export const cards: StandInCalls = {
  call: /(?:^|› )(GET|POST|DELETE) (\/v1\/(?:checkout|refunds|disputes|events)[^ ]*) › before$/,
  url: (world) => world.payments.stripe.url,
}
export const hostnames: StandInCalls = {
  call: /(?:^|› )(GET|POST|PATCH|DELETE) (\/client\/v4\/zones\/[^ ]*custom_hostnames[^ ]*) › before$/,
  url: (world) => cloudflareOf(world).url,
}

const PER_RUN = 3

/** The same goes wrong at each point. */
export function standInFault(name: string, fault: ProviderFault, calls: StandInCalls): Fault {
  return {
    name,
    perRun: PER_RUN,
    appliesTo: (point) => isCall(point, calls),
    prepare: (world, point) => misbehave(world, point, fault, calls),
  }
}

const isCall = ({ role, name }: Point, { call }: StandInCalls): boolean =>
  role !== 'runner' && call.test(name)

async function misbehave(
  world: World,
  point: Point,
  fault: ProviderFault,
  { call, url }: StandInCalls,
): ReturnType<NonNullable<Fault['prepare']>> {
  const [, method, path = ''] = call.exec(point.name) ?? []
  const faults = `${url(world)}/_local/faults`
  const answer = await fetch(faults, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...fault,
      method,
      // Whole: a list is another call than one of what it lists.
      path: `${path.replaceAll(':', '*')}$`,
      skip: point.nth - 1,
      times: 1,
    }),
  })
  if (!answer.ok) throw new Error(`The stand-in does not take the fault: ${await answer.text()}`)
  const { id } = (await answer.json()) as { id: string }
  return {
    async isMet() {
      const left = (await (await fetch(faults)).json()) as { id: string }[]
      return left.every((one) => one.id !== id)
    },
    async undo() {
      await fetch(faults, { method: 'DELETE' })
    },
  }
}

/** Everything that one provider may answer, as far as its answer is no lie about what it has. */
export interface ProviderErrors {
  name: string
  errors: readonly ProviderError[]
  calls: StandInCalls
  /** Which calls say by this error that something is not there, which is another story than an error. */
  isLie(error: ProviderError, point: Point): boolean
  /** What the user is told of an order that was refused. */
  refusal: RegExp
  clearTraces(world: World): Promise<void>
}

/** Each costs the time after which a provider is not waited for any more: once is enough. */
const isHang = ({ fault }: ProviderError): boolean => fault.kind.startsWith('hang')

/** Each of them at every point at which it makes sense. */
export function errorsOf(provider: ProviderErrors): Fault[] {
  return provider.errors.map((error) => {
    const name = `${provider.name}: ${error.name}`
    return {
      ...withRefusal(provider, () => error),
      ...standInFault(name, error.fault, provider.calls),
      appliesTo: (point) => isCall(point, provider.calls) && !provider.isLie(error, point),
    }
  })
}

/**
 * Another one at each of these points, as often as is asked: the fewest runs in which each of them is met, and each call
 * meets as many as it has points.
 */
export function errorsInTurn(provider: ProviderErrors, points: readonly Point[], times: number): Fault[] {
  const calls = points.filter((point) => isCall(point, provider.calls))
  const uses = new Map<ProviderError, number>()
  const metBy = new Map<string, Set<ProviderError>>()
  const errorFor = (point: Point): ProviderError | undefined => {
    const met = metBy.get(point.call) ?? new Set()
    const [error] = provider.errors
      .filter((one) => !met.has(one) && !provider.isLie(one, point) && !(isHang(one) && uses.has(one)))
      .toSorted((a, b) => (uses.get(a) ?? 0) - (uses.get(b) ?? 0))
    if (!error) return undefined
    metBy.set(point.call, met.add(error))
    uses.set(error, (uses.get(error) ?? 0) + 1)
    return error
  }
  return Array.from({ length: times }, () => {
    const chosen = new Map(
      calls.flatMap((point) => {
        const error = errorFor(point)
        return error ? [[point, error] as const] : []
      }),
    )
    return {
      ...withRefusal(provider, (point) => chosen.get(point)),
      name: `errors of ${provider.name} in turn`,
      perRun: PER_RUN,
      appliesTo: (point) => chosen.has(point),
      async prepare(world, point) {
        const error = chosen.get(point)
        if (!error) throw new Error(`No error was chosen for ${pointText(point)}.`)
        return misbehave(world, point, error.fault, provider.calls)
      },
      told: [...chosen].map(([point, { name }]) => `  ${name} at ${pointText(point)}`),
    }
  })
}

const REFUSING = new Set(['404', '409', '422'])

function withRefusal(
  { refusal, clearTraces }: ProviderErrors,
  errorAt: (point: Point) => ProviderError | undefined,
): Pick<Fault, 'refusal' | 'clearTraces'> {
  return {
    refusal: (points) =>
      points.some((point) => REFUSING.has(errorAt(point)?.name ?? '')) ? refusal : undefined,
    clearTraces,
  }
}
