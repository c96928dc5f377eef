/** What Vultr offers, as far as agents need it; ids, sizes and prices are Vultr's. */
export const REGIONS = [
  { id: 'icn', country: 'KR', options: ['ddos_protection', 'kubernetes'], continent: 'Asia', city: 'Seoul' },
  { id: 'nrt', country: 'JP', options: ['ddos_protection', 'kubernetes'], continent: 'Asia', city: 'Tokyo' },
  {
    id: 'ewr',
    country: 'US',
    options: ['ddos_protection', 'kubernetes'],
    continent: 'North America',
    city: 'New Jersey',
  },
]

export interface Plan {
  id: string
  vcpu_count: number
  ram: number
  disk: number
  bandwidth: number
  monthly_cost: number
  locations: string[]
}

const EVERYWHERE = REGIONS.map((region) => region.id)

export const PLANS: readonly Plan[] = [
  {
    id: 'vc2-1c-1gb',
    vcpu_count: 1,
    ram: 1024,
    disk: 25,
    bandwidth: 1024,
    monthly_cost: 5,
    locations: EVERYWHERE,
  },
  {
    id: 'vc2-1c-2gb',
    vcpu_count: 1,
    ram: 2048,
    disk: 55,
    bandwidth: 2048,
    monthly_cost: 10,
    locations: EVERYWHERE,
  },
  {
    id: 'vc2-2c-4gb',
    vcpu_count: 2,
    ram: 4096,
    disk: 80,
    bandwidth: 3072,
    monthly_cost: 20,
    locations: EVERYWHERE,
  },
  {
    id: 'vc2-4c-8gb',
    vcpu_count: 4,
    ram: 8192,
    disk: 160,
    bandwidth: 4096,
    monthly_cost: 40,
    locations: EVERYWHERE,
  },
  // Known, but not to be had in Seoul: whoever asks for it there gets the error of a plan that is out of stock.
  {
    id: 'vc2-6c-16gb',
    vcpu_count: 6,
    ram: 16384,
    disk: 320,
    bandwidth: 5120,
    monthly_cost: 80,
    locations: ['ewr'],
  },
]

export const OPERATING_SYSTEMS = [
  { id: 2136, name: 'Debian 12 x64 (bookworm)', arch: 'x64', family: 'debian' },
  { id: 2625, name: 'Debian 13 x64 (trixie)', arch: 'x64', family: 'debian' },
  { id: 2284, name: 'Ubuntu 24.04 LTS x64', arch: 'x64', family: 'ubuntu' },
]

/** The operating system that Vultr shows for a machine made from a snapshot. */
export const SNAPSHOT_OS = { id: 164, name: 'Snapshot' }
