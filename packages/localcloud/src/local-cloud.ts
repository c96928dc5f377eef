import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Chain, startChain } from './chain.ts'
import { type Cloudflare, startCloudflare } from './cloudflare/cloudflare.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { type Stripe, startStripe } from './stripe/stripe.ts'
import { startTwilio, type Twilio } from './twilio/twilio.ts'
import { startVultr, type Vultr } from './vultr/vultr.ts'

export interface LocalCloudOptions {
  dataDir: string
  /** Uses this PostgreSQL instead of starting one. */
  databaseUrl?: string
  /** Seconds between the blocks of the chain. */
  blockSeconds?: number
  /** `none` runs machines as plain processes even where a sandbox could be had. */
  sandbox?: 'auto' | 'none'
  /** Takes what a person who starts the cloud should read. */
  log: (line: string) => void
}

export interface LocalCloud {
  database: Pick<Postgres, 'url' | 'stop'>
  chain: Chain
  twilio: Twilio
  vultr: Vultr
  stripe: Stripe
  cloudflare: Cloudflare
  stop(): Promise<void>
}

/** Starts every provider on this machine. A second start on the same directory has all that the first one had. */
export async function startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const { log, sandbox } = options
  const dataDir = resolve(options.dataDir)
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const starting = [
    options.databaseUrl === undefined ? startPostgres({ dataDir, log }) : given(options.databaseUrl),
    startChain({
      dataDir,
      log,
      ...(options.blockSeconds === undefined ? {} : { blockSeconds: options.blockSeconds }),
    }),
    startTwilio({ dataDir, log }),
    startVultr({ dataDir, log, ...(sandbox === undefined ? {} : { sandbox }) }),
    startStripe({ dataDir, log }),
    startCloudflare({ dataDir, log }),
  ] as const
  const started = await Promise.allSettled(starting)
  const stopAll = async () => {
    const running = started.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : []))
    const stopped = await Promise.allSettled(running.map((part) => part.stop()))
    for (const part of stopped) if (part.status === 'rejected') throw part.reason
  }
  const failed = started.find((part) => part.status === 'rejected')
  if (failed) {
    await stopAll().catch((error) => log(`while stopping: ${error}`))
    throw failed.reason
  }
  const [database, chain, twilio, vultr, stripe, cloudflare] = await Promise.all(starting)
  let stopped: Promise<void> | undefined
  return {
    database,
    chain,
    twilio,
    vultr,
    stripe,
    cloudflare,
    stop: () => {
      stopped ??= stopAll()
      return stopped
    },
  }
}

/** A database that somebody else runs: it is not ours to stop. */
async function given(url: string): Promise<Pick<Postgres, 'url' | 'stop'>> {
  return { url, stop: async () => {} }
}
