import type { Blobs } from './platform/blobs.ts'
import type { Clock } from './platform/clock.ts'
import type { Config } from './platform/config.ts'
import type { Db } from './platform/db.ts'
import type { Keyring, Pepper } from './platform/keyring.ts'
import type { Log } from './platform/log.ts'
import type { Cards } from './providers/cards/stripe.ts'
import type { Chain } from './providers/chain/evm.ts'
import type { Transfers } from './providers/chain/transfers.ts'
import type { Hostnames } from './providers/dns/cloudflare.ts'
import type { EdgeProbe } from './providers/dns/edge-probe.ts'
import type { LiveDns } from './providers/dns/live-dns.ts'
import type { Machines } from './providers/machines/vultr.ts'
import type { Sms } from './providers/sms/twilio.ts'
import type { Egress } from './providers/transport.ts'

/** Everything that the server works with. A function takes a `Pick` of it, so that its signature says what it touches. */
export interface Deps {
  config: Config
  db: Db
  clock: Clock
  log: Log
  keyring: Keyring
  pepper: Pepper
  blobs: Blobs
  sms: Sms
  machines: Machines
  chain: Chain
  /** One for each chain on which payments are taken. */
  transfers: readonly Transfers[]
  /** Undefined where no cards are taken. */
  cards: Cards | undefined
  /** Undefined where no domains of customers are taken. */
  hostnames: Hostnames | undefined
  liveDns: LiveDns
  /** Who can be called from here, and what they were told. */
  egress: Egress
  edgeProbe: EdgeProbe
}
