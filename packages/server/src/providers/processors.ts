import type { Config } from '../platform/config.ts'

// Policy 3: all that each of them is ever told, as `fieldsOf` names it; the transport refuses anything else.
export const TWILIO_FIELDS = ['To', 'Channel', 'VerificationSid', 'Code', 'Status']
export const STRIPE_FIELDS = [
  ...['mode', 'client_reference_id', 'metadata.checkout', 'payment_intent_data.metadata.checkout'],
  ...['line_items.quantity', 'line_items.price_data.currency', 'line_items.price_data.unit_amount'],
  ...['line_items.price_data.product_data.name', 'expires_at', 'success_url', 'cancel_url'],
  ...['payment_intent', 'amount', 'metadata.decided_by'],
  ...['expand', 'limit', 'starting_after', 'types', 'created.gte'],
]
export const CLOUDFLARE_FIELDS = [
  ...['hostname', 'ssl.method', 'ssl.type', 'ssl.settings.min_tls_version', 'origin'],
  ...['name', 'type', 'content', 'proxied', 'ttl', 'comment'],
  ...['page', 'per_page', 'hostname.exact', 'name.exact', 'comment.startswith'],
]
export const VULTR_FIELDS = [
  ...['region', 'plan', 'os_id', 'snapshot_id', 'label', 'hostname', 'user_data', 'attach_vpc', 'tags'],
  ...['firewall_group_id', 'enable_ipv6', 'backups', 'activation_email', 'user_scheme'],
  ...['instance_id', 'description', 'tag', 'per_page', 'cursor', 'date_range'],
]
/** Of a store of files; contents go by their hashes. */
export const S3_FIELDS = ['prefix', 'marker', 'max-keys']

/** Somebody who works for us, by the name that the policy gives them. */
export interface ProcessorHost {
  name: 'Twilio' | 'Vultr' | 'Stripe' | 'Cloudflare'
  what: 'codes' | 'machines' | 'files' | 'cards' | 'domains'
  baseUrl: string
  /** All that they are ever told. */
  fields: readonly string[]
}

type Hosts = Pick<Config, 'twilio' | 'vultr' | 'stripe' | 'cloudflare' | 'blobs'>

/** Policy 3: everybody whom this configuration calls and who may be told something about a person. */
export function processorHosts({ twilio, vultr, stripe, cloudflare, blobs }: Hosts): ProcessorHost[] {
  const host = (
    name: ProcessorHost['name'],
    what: ProcessorHost['what'],
    baseUrl: string | undefined,
    fields: readonly string[],
  ): ProcessorHost[] => (baseUrl === undefined ? [] : [{ name, what, baseUrl, fields }])
  return [
    ...host('Twilio', 'codes', twilio.baseUrl, TWILIO_FIELDS),
    ...host('Vultr', 'machines', vultr.baseUrl, VULTR_FIELDS),
    ...host('Vultr', 'files', blobs?.endpoint, S3_FIELDS),
    ...host('Stripe', 'cards', stripe?.baseUrl, STRIPE_FIELDS),
    ...host('Cloudflare', 'domains', cloudflare?.baseUrl, CLOUDFLARE_FIELDS),
  ]
}

/** Policy 2g and 3: the hosts that these of them and the chain have, with what each may be told. */
export function allowedHosts(
  processors: readonly ProcessorHost[],
  infrastructure: readonly string[],
): { processors: string[]; infrastructure: readonly string[]; fields: Record<string, readonly string[]> } {
  const fields: Record<string, readonly string[]> = {}
  for (const { baseUrl, fields: own } of processors) fields[baseUrl] = [...(fields[baseUrl] ?? []), ...own]
  return { processors: processors.map(({ baseUrl }) => baseUrl), infrastructure, fields }
}
