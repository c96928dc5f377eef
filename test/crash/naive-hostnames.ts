import { type Hostnames, openHostnames as openReal } from '@agentctl/server/providers/dns/cloudflare.ts'

export function openHostnames(...parameters: Parameters<typeof openReal>): Hostnames {
  return { ...openReal(...parameters), findByName: async () => undefined }
}
