import { isIP } from 'node:net'
import { DatabaseUrlError, readDatabaseUrl } from '@agentctl/server/platform/database-url.ts'
import { isPublicAddress } from '@agentctl/server/providers/webhooks/public-address.ts'
import { portFrom, StartError } from './cloud.ts'

export interface SmokeSettings {
  key: string
  /** Where machines find the API, without a slash at the end. */
  apiUrl: string
  /** Of the provider of machines. */
  baseUrl: string
  allowedUsd: number
  port: number
  databaseUrl: string | undefined
}

/** Reads everything before anything is run or asked; neither the key nor the address set is no mistake: undefined. */
export function readSmokeSettings(env: NodeJS.ProcessEnv): SmokeSettings | undefined {
  const { VULTR_API_KEY: key = '', LIVE_SMOKE_URL: url = '' } = env
  if (!key && !url) return undefined
  if (!key) throw new StartError('VULTR_API_KEY is not set.', 'Set it to a key of the account that pays.')
  if (/\s/.test(key)) {
    throw new StartError('VULTR_API_KEY has white space in it.', 'Set it to the key alone.')
  }
  if (!url) {
    throw new StartError(
      'LIVE_SMOKE_URL is not set.',
      'Set it to an address that leads to this machine: LIVE_SMOKE_URL=https://NAME',
    )
  }
  const baseUrl = addressIn('VULTR_BASE_URL', env.VULTR_BASE_URL || 'https://api.vultr.com')
  return {
    key,
    apiUrl: reachable(addressIn('LIVE_SMOKE_URL', url), { isStandIn: baseUrl.startsWith('http:') }),
    baseUrl,
    allowedUsd: dollarsIn('LIVE_SMOKE_MAX_USD', env.LIVE_SMOKE_MAX_USD || '0.10'),
    port: portFrom('PORT', 8797, 'npm run live-smoke'),
    databaseUrl: databaseIn(env.DATABASE_URL),
  }
}

function addressIn(variable: string, text: string): string {
  const url = URL.parse(text)
  const isPlain = url && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`
  if (isPlain) return url.origin
  throw new StartError(
    `${variable} is no plain address: '${text}'`,
    `Give scheme and name alone: ${variable}=https://NAME`,
  )
}

/** Machines hand their credentials in there, over the internet; those of a stand-in are on this machine. */
function reachable(address: string, { isStandIn }: { isStandIn: boolean }): string {
  if (isStandIn) return address
  const { protocol, hostname } = new URL(address)
  if (protocol !== 'https:') {
    throw new StartError(
      'LIVE_SMOKE_URL is not https: credentials of machines would be readable.',
      'Use an https address, such as that of a tunnel: LIVE_SMOKE_URL=https://NAME',
    )
  }
  const host = hostname.replace(/^\[|\]$/g, '')
  const isHere = isIP(host) === 0 ? /(^|\.)localhost$/.test(host) : !isPublicAddress(host)
  if (!isHere) return address
  throw new StartError(
    `LIVE_SMOKE_URL leads to ${host}: no machine at Vultr gets there.`,
    'Use a public address, such as that of a tunnel: LIVE_SMOKE_URL=https://NAME',
  )
}

function dollarsIn(variable: string, text: string): number {
  const dollars = Number(text)
  if (dollars >= 0 && Number.isFinite(dollars)) return dollars
  throw new StartError(`${variable}=${text} is no number of dollars.`, `Use one such as ${variable}=0.10`)
}

function databaseIn(url: string | undefined): string | undefined {
  if (!url) return undefined
  try {
    readDatabaseUrl(url)
    return url
  } catch (error) {
    if (!(error instanceof DatabaseUrlError)) throw error
    throw new StartError(
      `DATABASE_URL ${error.message}`,
      'Correct it, or leave it out: then a database is started.',
    )
  }
}
