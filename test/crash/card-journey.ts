import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import type { Operation, Subject } from './journey.ts'
import type { World } from './world.ts'

const DOLLAR = 1_000_000n
const TOLD_MS = 60_000
const HOUR_SECONDS = 3600
const DAY_SECONDS = 86_400

interface Checkout {
  id: string
  status: string
  url: string
}

interface Page {
  checkout: string
  session: string
}

/** The page that was paid on first, of which money is taken back later. */
const bought = new WeakMap<Subject, string>()

/** The invariants compare the books with all that the processor knows. */
const nothingMore = async (): Promise<string[]> => []

/** Payments by card: at once, by a bank that answers later, taken back, never made, and told about too late. */
export const cardOperations: Operation[] = [
  {
    name: 'card payment',
    async run(world, subject) {
      const page = await openPage(world, 30n)
      bought.set(subject, page.session)
      await cardControl(world, 'POST', `/sessions/${page.session}/pay`, { how: 'card' })
      await until(world, page, 'paid')
      await allTold(world)
    },
    check: nothingMore,
  },
  {
    name: 'refund that fails',
    optional: true,
    async run(world, subject) {
      const id = await takeBack(world, subject, '/refunds', 300)
      await allTold(world)
      await cardControl(world, 'POST', `/refunds/${id}/fail`)
      await allTold(world)
    },
    check: nothingMore,
  },
  {
    name: 'dispute won',
    optional: true,
    async run(world, subject) {
      const id = await takeBack(world, subject, '/disputes', 1100)
      await allTold(world)
      await cardControl(world, 'POST', `/disputes/${id}`, { status: 'won' })
      await allTold(world)
    },
    check: nothingMore,
  },
  {
    name: 'dispute lost, while nothing is left',
    optional: true,
    async run(world, subject) {
      await leaveCredits(world, 1n * DOLLAR)
      const id = await takeBack(world, subject, '/disputes', 400)
      await allTold(world)
      await cardControl(world, 'POST', `/disputes/${id}`, { status: 'lost' })
      await allTold(world)
      await leaveCredits(world, 1000n * DOLLAR)
    },
    check: nothingMore,
  },
  {
    name: 'refund that nobody tells about',
    optional: true,
    async run(world, subject) {
      await withoutWebhooks(world, () => takeBack(world, subject, '/refunds', 200))
      await world.advance(DAY_SECONDS)
      await world.visit('reconcile-cards')
      await allTold(world)
    },
    check: nothingMore,
  },
  {
    name: 'bank payment',
    optional: true,
    async run(world) {
      const page = await openPage(world, 40n)
      await cardControl(world, 'POST', `/sessions/${page.session}/pay`, { how: 'bank' })
      await until(world, page, 'processing')
      await cardControl(world, 'POST', `/sessions/${page.session}/settle`, { outcome: 'succeeded' })
      await until(world, page, 'paid')
      const refused = await openPage(world, 50n)
      await cardControl(world, 'POST', `/sessions/${refused.session}/pay`, { how: 'bank' })
      await cardControl(world, 'POST', `/sessions/${refused.session}/settle`, { outcome: 'failed' })
      await until(world, refused, 'failed')
      await allTold(world)
    },
    check: nothingMore,
  },
  {
    name: 'payment that nobody tells about',
    optional: true,
    async run(world) {
      const page = await openPage(world, 60n)
      await withoutWebhooks(world, () =>
        cardControl(world, 'POST', `/sessions/${page.session}/pay`, { how: 'card' }),
      )
      await world.visit('watch-checkout')
      await until(world, page, 'paid')
    },
    check: nothingMore,
  },
  {
    name: 'pages that expire',
    optional: true,
    async run(world) {
      const page = await openPage(world, 70n)
      const { stripe } = world.payments
      const faults = `${stripe.url}/_local/faults`
      const fault = { kind: 'html-503', method: 'POST', path: '/v1/checkout/sessions', times: null }
      await fetch(faults, { method: 'POST', body: JSON.stringify(fault) })
      // Asked once: whoever gives up leaves a page that was never opened.
      await world.api.tryOnce('POST', '/v1/billing/checkouts', { amountMicros: String(80n * DOLLAR) })
      await fetch(faults, { method: 'DELETE' })
      await world.advance(HOUR_SECONDS + 60)
      await until(world, page, 'expired')
      await world.visit('watch-checkout')
      await allTold(world)
    },
    async check({ sql }) {
      // A page that was paid for otherwise than asked is for operators.
      const rows = await sql`
        select 1 from checkouts where status in ('starting', 'open', 'processing')
          and id not in (select checkout_id from card_mismatches)`
      return rows.length === 0 ? [] : [`${rows.length} pages are still open`]
    },
  },
]

/** As a deposit or a reversal would leave them, once what has burnt is charged; told again, it changes nothing. */
export async function leaveCredits({ sql, now }: World, micros: bigint): Promise<void> {
  const due = sql`coalesce((
    select due_micros from meter_watermark, meter_dues(upto, ${now()}) dues
    where dues.ledger_account_id = ledger_balances.ledger_account_id), 0)`
  const change = sql`${micros}::bigint + ${due} - balance_micros`
  await sql`
    select ledger_post('crash:' || entry_count, 'deposit', 'crash', ledger_account_id, 'sys_treasury', ${change}, ${now()})
    from ledger_balances where ${change} <> 0`
}

/** Whatever the processor still wants to tell is told, and worked on. */
export async function allTold(world: World): Promise<void> {
  const look = async (): Promise<boolean> => {
    const { deliveries } = world.payments.stripeState()
    const waiting = deliveries.filter(({ state }) => state === 'waiting')
    // The pause before it tries again would cost seconds at each crash; and it gives up after so many tries.
    if (waiting.some(({ attempts }) => attempts > 0) && (await isUp(world))) {
      await cardControl(world, 'POST', '/events/release')
    }
    const busy = await world.sql`select 1 from operations where kind = 'card-event' and state = 'pending'`
    if (busy.length > 0) await hasten(world, 'card-event')
    return waiting.length === 0 && busy.length === 0
  }
  // The database may be away for a moment, as one of the faults.
  const isTold = await waitUntil(() => look().catch(() => false), { withinMs: TOLD_MS })
  if (!isTold) throw new Error('The events of the card processor do not come to an end.')
}

function isUp({ environment }: World): Promise<boolean> {
  return fetch(`${environment.API_URL}/v1/health`).then(
    (response) => response.ok,
    () => false,
  )
}

export async function openPage(world: World, dollars: bigint): Promise<Page> {
  const { id, url } = await world.api.call<Checkout>('POST', '/v1/billing/checkouts', {
    body: { amountMicros: String(dollars * DOLLAR) },
    idempotent: true,
  })
  return { checkout: id, session: String(new URL(url).pathname.split('/').at(-1)) }
}

/** Waits as the CLI does, and has the processor and the worker leave out their pauses. */
export async function until(world: World, { checkout }: Page, status: string): Promise<void> {
  await allTold(world)
  const since = 'waitSeconds=2&status=open'
  const shown = await world.api.call<Checkout>('GET', `/v1/billing/checkouts/${checkout}?${since}`)
  if (shown.status !== status) throw new Error(`The payment by card is ${shown.status}, not ${status}.`)
}

async function hasten({ sql }: World, kind: string): Promise<void> {
  await sql`
    update operations set run_at = clock_timestamp()
    where kind = ${kind} and state = 'pending' and lease_until is null and run_at > clock_timestamp()`
}

/** A refund or a dispute of what the run bought first. */
async function takeBack(
  world: World,
  subject: Subject,
  path: '/refunds' | '/disputes',
  cents: number,
): Promise<string> {
  const session = bought.get(subject)
  const { sessions } = world.payments.stripeState()
  const paymentIntent = sessions.find(({ id }) => id === session)?.paymentIntentId
  const { id } = await cardControl<{ id: string }>(world, 'POST', path, { paymentIntent, amount: cents })
  return id
}

async function withoutWebhooks(world: World, act: () => Promise<unknown>): Promise<void> {
  const { url } = await cardControl<{ url: string }>(world, 'GET', '/webhook')
  await cardControl(world, 'PUT', '/webhook', { url: null })
  await act()
  await cardControl(world, 'PUT', '/webhook', { url })
}

/** What people, their banks and the network do. */
export async function cardControl<T>(world: World, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(`${world.payments.stripe.url}/_local${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}
