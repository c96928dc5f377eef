import { type Machines, openMachines as openReal } from '@agentctl/server/providers/machines/vultr.ts'

export function openMachines(...parameters: Parameters<typeof openReal>): Machines {
  return { ...openReal(...parameters), listByLabel: async () => [] }
}
