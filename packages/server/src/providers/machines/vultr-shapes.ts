import { z } from 'zod'
import type { ProviderMachine, ProviderSnapshot } from './vultr.ts'

/** Policy 3d: agents run in Seoul. */
export const REGION = 'icn'

const text = z.string()
const Time = z.iso.datetime({ offset: true })

export const Instance = z.object({
  id: text.min(1),
  label: text,
  tags: z.array(text).nullish(),
  status: text,
  power_status: text,
  region: text,
  internal_ip: text.nullish(),
  allowed_bandwidth: z.number().nullish(),
  date_created: Time,
})

export const Snapshot = z.object({
  id: text.min(1),
  description: text,
  status: text,
  size: z.number(),
  date_created: Time,
})

/** A private network or a firewall group. */
export const SharedNetwork = z.object({
  id: text.min(1),
  description: text,
  region: text.exactOptional(),
  date_created: Time,
  instance_count: z.number().exactOptional(),
})
export type SharedNetwork = z.infer<typeof SharedNetwork>

export const FirewallRules = z.object({ firewall_rules: z.array(z.object({ id: z.number() })) })
export const Availability = z.object({ available_plans: z.array(text) })

/** By day, in UTC. */
export const Bandwidth = z.object({
  bandwidth: z.record(text, z.object({ outgoing_bytes: z.number().nonnegative() })),
})

/** One page of a list. Without its `meta` nobody knows whether there is more. */
export const Page = z.object({ meta: z.object({ links: z.object({ next: text.nullish() }) }) })

export function machineOf(instance: z.infer<typeof Instance>): ProviderMachine {
  // Never the public address: what listens there is nobody's business.
  const address = instance.internal_ip === '0.0.0.0' ? '' : instance.internal_ip
  return {
    id: instance.id,
    label: instance.label,
    tags: instance.tags ?? [],
    status: instance.status,
    isElsewhere: instance.region !== REGION,
    isOn: instance.power_status !== 'stopped',
    address: address || null,
    includedGigabytes: instance.allowed_bandwidth ?? null,
    createdAt: new Date(instance.date_created),
  }
}

export function snapshotOf(snapshot: z.infer<typeof Snapshot>, prefix: string): ProviderSnapshot {
  return {
    id: snapshot.id,
    label: snapshot.description.slice(prefix.length),
    isComplete: snapshot.status === 'complete' && snapshot.size > 0,
    sizeBytes: snapshot.size,
    createdAt: new Date(snapshot.date_created),
  }
}
