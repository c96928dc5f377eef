import { z } from 'zod'
import type { Deps } from '../deps.ts'
import type { Lease, Outcome } from '../platform/operations.ts'
import type { Hostnames } from '../providers/dns/cloudflare.ts'
import { setStep } from './lifecycle-store.ts'
import type { DomainRow } from './store.ts'

/** What the operation of a domain remembers between visits. */
export const Memory = z.object({
  /** Set before an order goes out and while it is not known what became of it: how often was looked since. */
  looks: z.int().exactOptional(),
  /** How often the provider said that it has the name, and did not show it. */
  hidden: z.int().exactOptional(),
  /** When the provider last told of it. */
  askedAt: z.iso.datetime().exactOptional(),
  /** Looks in a row that found a live one wanting. */
  doubts: z.int().exactOptional(),
})
export type Memory = z.infer<typeof Memory>

/** What the steps of one visit to a domain have in common. */
export interface Visit {
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'log' | 'liveDns' | 'edgeProbe'>
  hostnames: Hostnames
  lease: Lease
  operationId: string
  memory: Memory
  domain: DomainRow
}

export function again(afterSeconds: number, stepData: Memory): Outcome {
  return { state: 'again', afterSeconds, stepData }
}

/** Tells whoever waits what is awaited. */
export async function say({ lease, domain }: Visit, step: string): Promise<void> {
  await lease.write((tx) => setStep(tx, domain.id, step))
}
