import type { Size } from '@agentctl/contract/agent-config.ts'

/** The provider's plan behind each size, and what it has. */
export const machineSizes: Readonly<Record<Size, { plan: string; diskGigabytes: number; has: string }>> = {
  nano: { plan: 'vc2-1c-1gb', diskGigabytes: 25, has: '1 vCPU, 1 GB of memory, 25 GB of disk' },
  small: { plan: 'vc2-1c-2gb', diskGigabytes: 55, has: '1 vCPU, 2 GB of memory, 55 GB of disk' },
  medium: { plan: 'vc2-2c-4gb', diskGigabytes: 80, has: '2 vCPU, 4 GB of memory, 80 GB of disk' },
  large: { plan: 'vc2-4c-8gb', diskGigabytes: 160, has: '4 vCPU, 8 GB of memory, 160 GB of disk' },
}

/** Whether a disk of a machine of one size can be restored on a machine of another. */
export function fitsOn(of: Size, on: Size): boolean {
  return machineSizes[of].diskGigabytes <= machineSizes[on].diskGigabytes
}
