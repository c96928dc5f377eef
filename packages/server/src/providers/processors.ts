import type { Config } from '../platform/config.ts'
import { S3_FIELDS } from './blobs/s3.ts'
import { STRIPE_FIELDS } from './cards/stripe.ts'
import { CLOUDFLARE_FIELDS } from './dns/cloudflare.ts'
import { VULTR_FIELDS } from './machines/vultr.ts'
import { TWILIO_FIELDS } from './sms/twilio.ts'

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
