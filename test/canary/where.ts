/** Where canaries are looked for. */
export type Place =
  | 'database'
  /** Its files as they are, with what it writes ahead. */
  | 'database files'
  /** Of every server, of PostgreSQL, of migrations, and of runners. */
  | 'logs'
  /** What agents were deployed from, in the bucket, and whatever servers keep on their disks. */
  | 'files'
  /** What the command printed to its user. */
  | 'command'
  | 'twilio'
  | 'stripe'
  | 'vultr'
  | 'cloudflare'
  | 'chain'
  /** The disk and the memory of the agent's own machine. */
  | 'machine'
  /** Copies of its disk. */
  | 'snapshots'

/**
 * Where each canary may be, with the sentence of the policy that says so (`packages/server/src/privacy/policy.ts`).
 * Everywhere else it is a leak. What is named here is found there in a run, else it was never driven through.
 */
export const mayBe: Readonly<Record<string, Partial<Record<Place, string>>>> = {
  'phone number': { twilio: '3a' },
  'next phone number': { twilio: '3a' },
  'login code': { twilio: '3a' },
  'text of a message': { twilio: '3a' },
  'card number': { stripe: '3b' },
  'private key of a wallet': {},
  // Public on its chain, and told to nobody.
  'wallet address': { database: '1b', 'database files': '1b', chain: '4a', command: '7a' },
  'account id': { database: '1', 'database files': '1', files: '5a', command: '7a' },
  'session token': {},
  'API key': {},
  'rotated API key': {},
  'secret of an agent': { machine: '1c' },
  'unused secret of an agent': {},
  'contents of a file': { files: '5a', machine: '2b', snapshots: '6b', command: '7d' },
  // It stands in the agent's program as well.
  'line that an agent printed': {
    ...{ database: '6j', 'database files': '6j', command: '7a' },
    ...{ files: '5a', machine: '2b', snapshots: '6b' },
  },
  'hostname of a domain': { database: '1c', 'database files': '1c', cloudflare: '3c', command: '7a' },
  'body of a refused request': {},
  'query of a request': {},
  'header of a request': {},
  'path that is none': {},
  // In its JSON encoding the agent's own code may write it down; here it answers with it and keeps nothing.
  'path asked of an agent': {},
  'address of a client': {},
  "Twilio's credential": {},
  "Stripe's credential": {},
  'secret of webhooks': {},
  "Vultr's credential": {},
  "Cloudflare's credential": {},
  "an operator's token": {},
  'key that seals secrets': {},
  'pepper of phones': {},
}
