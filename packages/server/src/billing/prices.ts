import { type Size, sizes } from '@agentctl/contract/agent-config.ts'
import { hourlyMicros } from './quotes.ts'

/** What a machine of each size has; transfer is for a month. */
const machines: Readonly<
  Record<Size, { vcpus: number; memoryMegabytes: number; diskGigabytes: number; transferTerabytes: number }>
> = {
  nano: { vcpus: 1, memoryMegabytes: 1024, diskGigabytes: 25, transferTerabytes: 1 },
  small: { vcpus: 1, memoryMegabytes: 2048, diskGigabytes: 55, transferTerabytes: 2 },
  medium: { vcpus: 2, memoryMegabytes: 4096, diskGigabytes: 80, transferTerabytes: 3 },
  large: { vcpus: 4, memoryMegabytes: 8192, diskGigabytes: 160, transferTerabytes: 4 },
}
const noMachine = { vcpus: null, memoryMegabytes: null, diskGigabytes: null, transferTerabytes: null }

/** What everything costs, for whoever asks. */
export function priceList(graceDays: number) {
  const kept = ['stopped', 'suspended'] as const
  return {
    currency: 'USD' as const,
    prices: [
      ...sizes.map((size) => ({ size, hourlyMicros: String(hourlyMicros[size]), ...machines[size] })),
      ...kept.map((size) => ({ size, hourlyMicros: String(hourlyMicros[size]), ...noMachine })),
    ],
    graceDays,
  }
}
