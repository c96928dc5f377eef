import type { MachineProcess } from './sandbox.ts'

export interface Instance {
  id: string
  createdAt: number
  /** When it begins to boot and when it has booted, by the clock of the local cloud. */
  bootsAt: number
  bootedAt: number
  /** False until its disk is there and it was switched on. */
  hasBooted: boolean
  power: 'running' | 'stopped'
  region: string
  plan: string
  osId: number
  snapshotId: string
  label: string
  hostname: string
  tags: string[]
  userData: string
  userScheme: string
  firewallGroupId: string
  vpcIds: string[]
  /** Its address in 127.64.0.0/10, its own for life. */
  address: string
  defaultPassword: string
  /** What it has received and sent, by day (UTC). Loopback costs nobody anything, so it is only what a test says. */
  traffic?: Record<string, { incoming_bytes: number; outgoing_bytes: number }>
  /** What runs it on this machine now; after a crash, what may still have to be ended. */
  process: MachineProcess | null
}

export interface Snapshot {
  id: string
  createdAt: number
  completeAt: number
  instanceId: string
  description: string
  size: number
  osId: number
  /** True when its copy is whole. */
  copied: boolean
}

export interface Vpc {
  id: string
  region: string
  createdAt: number
  description: string
  v4Subnet: string
  v4SubnetMask: number
}

export interface FirewallRule {
  id: number
  /** The same as `ip_type`, which replaced it. */
  type: string
  ip_type: string
  action: 'accept'
  protocol: string
  port: string
  subnet: string
  subnet_size: number
  source: string
  notes: string
}

export interface FirewallGroup {
  id: string
  createdAt: number
  modifiedAt: number
  description: string
  rules: FirewallRule[]
}

export interface SshKey {
  id: string
  createdAt: number
  name: string
  key: string
}

export interface VultrState {
  instances: Instance[]
  snapshots: Snapshot[]
  vpcs: Vpc[]
  firewallGroups: FirewallGroup[]
  sshKeys: SshKey[]
  nextAddress: number
  settings: VultrSettings
}

export interface VultrSettings {
  /** From the request to `active`. */
  bootSeconds: number
  /** From the request to `complete`, at least. */
  snapshotSeconds: number
}

export const INITIAL_STATE: VultrState = {
  instances: [],
  snapshots: [],
  vpcs: [],
  firewallGroups: [],
  sshKeys: [],
  nextAddress: 1,
  settings: { bootSeconds: 0.05, snapshotSeconds: 0 },
}
