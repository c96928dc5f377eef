import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { stripeId } from './stripe-id.ts'
import type { Delivery, StripeEvent, StripeState } from './stripe-state.ts'
import { signWebhook } from './webhook-signature.ts'
import { wireEvent } from './wire.ts'

/** Stripe goes on for three days with growing pauses; here the first ones are short, so that nobody has to wait. */
const RETRY_SECONDS = [1, 5, 30, 300, 1800, 7200, 18_000, 36_000, 43_200, 43_200, 43_200]
const ANSWER_WITHIN_MS = 10_000
const LOOK_EVERY_MS = 100
const KEPT_EVENTS = 2_000

/** Tells the registered endpoint what happened, signed, again and again until it answers 2xx. */
export class Webhooks {
  private readonly state: KeptState<StripeState>
  private readonly clock: Clock
  private readonly secret: string
  private readonly sending = new Set<string>()
  private readonly stopping = new AbortController()
  private readonly timer: NodeJS.Timeout

  constructor(parts: { state: KeptState<StripeState>; clock: Clock; secret: string }) {
    this.state = parts.state
    this.clock = parts.clock
    this.secret = parts.secret
    this.timer = setInterval(() => this.sendDue(), LOOK_EVERY_MS)
  }

  /** To be called with the state that the event tells about not yet saved: both are saved here. */
  record(type: string, object: unknown, idempotencyKey: string | null): StripeEvent {
    const { events, deliveries, webhookUrl } = this.state.value
    const event = {
      id: stripeId('evt'),
      type,
      createdAt: Math.floor(this.clock.now() / 1000),
      object: structuredClone(object),
      idempotencyKey,
    }
    events.push(event)
    if (webhookUrl !== null) {
      const dueAt = this.clock.now()
      deliveries.push({ eventId: event.id, state: 'waiting', attempts: 0, dueAt, lastStatus: null })
    }
    events.splice(0, events.length - KEPT_EVENTS)
    deliveries.splice(0, deliveries.length - KEPT_EVENTS)
    this.state.save()
    if (webhookUrl !== null) setImmediate(() => this.sendDue())
    return event
  }

  pendingOf(eventId: string): number {
    return this.state.value.deliveries.filter((one) => one.eventId === eventId && one.state === 'waiting')
      .length
  }

  /** Sends an event that many times at once, whatever was sent before; the statuses of the answers, 0 for none. */
  resend(event: StripeEvent, copies: number): Promise<number[]> {
    return Promise.all(Array.from({ length: copies }, () => this.send(event)))
  }

  /** Sends everything that was held, one after the other in this order, each that many times at once. */
  async release(order: 'oldest-first' | 'newest-first', copies: number): Promise<number> {
    const held = this.state.value.deliveries.filter((one) => one.state === 'waiting')
    if (order === 'newest-first') held.reverse()
    for (const delivery of held) {
      if (copies > 1) {
        const event = this.eventOf(delivery)
        if (event) await this.resend(event, copies - 1)
      }
      await this.deliver(delivery)
    }
    this.state.value.holdsEvents = false
    this.state.save()
    return held.length
  }

  stop(): void {
    clearInterval(this.timer)
    this.stopping.abort()
  }

  private sendDue(): void {
    const { deliveries, holdsEvents } = this.state.value
    if (holdsEvents || this.stopping.signal.aborted) return
    for (const delivery of deliveries) {
      if (delivery.state === 'waiting' && delivery.dueAt <= this.clock.now()) void this.deliver(delivery)
    }
  }

  private async deliver(delivery: Delivery): Promise<void> {
    const event = this.eventOf(delivery)
    if (!event || this.sending.has(event.id)) return
    this.sending.add(event.id)
    try {
      const status = await this.send(event)
      if (this.stopping.signal.aborted) return
      delivery.attempts += 1
      delivery.lastStatus = status
      const pause = RETRY_SECONDS[delivery.attempts - 1]
      if (status >= 200 && status < 300) delivery.state = 'delivered'
      else if (pause === undefined) delivery.state = 'given up'
      else delivery.dueAt = this.clock.now() + pause * 1000
      this.state.save()
    } finally {
      this.sending.delete(event.id)
    }
  }

  private eventOf(delivery: Delivery): StripeEvent | undefined {
    return this.state.value.events.find((event) => event.id === delivery.eventId)
  }

  private async send(event: StripeEvent): Promise<number> {
    const { webhookUrl } = this.state.value
    if (webhookUrl === null) return 0
    const body = JSON.stringify(wireEvent(event, this.pendingOf(event.id)), null, 2)
    try {
      const answer = await fetch(webhookUrl, {
        method: 'POST',
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
          'stripe-signature': signWebhook(body, this.secret, Math.floor(this.clock.now() / 1000)),
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.stopping.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      })
      await answer.arrayBuffer()
      return answer.status
    } catch {
      // Nobody listens, or nobody answers: it is tried again like any other failure.
      return 0
    }
  }
}
