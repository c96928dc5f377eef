import type { Config } from '../platform/config.ts'

/** Somebody who works for us, by the name that the policy gives them. */
export interface ProcessorHost {
  name: string
  what: 'codes' | 'machines' | 'files' | 'cards' | 'domains'
  baseUrl: string
}

/** Policy 3: everybody whom this configuration calls and who may be told something about a person. */
export function processorHosts(
  config: Pick<Config, 'twilio' | 'vultr' | 'stripe' | 'cloudflare' | 'blobs'>,
): ProcessorHost[] {
  return [
    { name: 'Twilio', what: 'codes', baseUrl: config.twilio.baseUrl },
    { name: 'Vultr', what: 'machines', baseUrl: config.vultr.baseUrl },
    ...(config.blobs ? [{ name: 'Vultr', what: 'files' as const, baseUrl: config.blobs.endpoint }] : []),
    ...(config.stripe ? [{ name: 'Stripe', what: 'cards' as const, baseUrl: config.stripe.baseUrl }] : []),
    ...(config.cloudflare
      ? [{ name: 'Cloudflare', what: 'domains' as const, baseUrl: config.cloudflare.baseUrl }]
      : []),
  ]
}
