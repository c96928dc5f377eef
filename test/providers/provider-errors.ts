/** A fault of a stand-in, without the call that it is for. */
export interface ProviderFault {
  kind: string
  status?: number
  headers?: Record<string, string>
  body?: unknown
}

export interface ProviderError {
  name: string
  fault: ProviderFault
}

/** The provider, or the way to it, is in trouble: the same call is answered later. */
export const troubles: readonly ProviderError[] = [
  { name: '401', fault: { kind: 'status', status: 401 } },
  { name: '403', fault: { kind: 'status', status: 403 } },
  { name: '429 with Retry-After', fault: { kind: 'status', status: 429, headers: { 'retry-after': '1' } } },
  { name: '429 without Retry-After', fault: { kind: 'status', status: 429 } },
  { name: '500', fault: { kind: 'status', status: 500 } },
  { name: '503 with HTML', fault: { kind: 'html-503' } },
  { name: '200 with HTML', fault: { kind: 'status', status: 200, body: '<html></html>' } },
  {
    name: 'an answer that breaks its own schema',
    fault: {
      kind: 'status',
      status: 200,
      body: { success: true, result: { id: 7 }, instance: { id: 7 }, instances: [{ id: 7 }], snapshots: 7 },
    },
  },
  { name: 'a connection that ends before the effect', fault: { kind: 'drop-before' } },
  { name: 'a connection that ends after the effect', fault: { kind: 'drop-after-effect' } },
  { name: 'an error after the effect', fault: { kind: 'error-after-effect' } },
  { name: 'a hang', fault: { kind: 'hang' } },
  { name: 'a hang after the effect', fault: { kind: 'hang-after-effect' } },
]

/** As Cloudflare says what it minds. */
export const cloudflareFailure = (code: number, message: string) => ({
  success: false,
  errors: [{ code, message }],
  messages: [],
  result: null,
})

/** What Cloudflare may say besides, and mean that the same call is answered later. */
export const cloudflareTroubles: readonly ProviderError[] = [
  ...troubles,
  { name: '404', fault: { kind: 'status', status: 404, body: cloudflareFailure(1436, 'not found') } },
  {
    name: 'success:false with 200',
    fault: { kind: 'status', status: 200, body: cloudflareFailure(1000, 'no') },
  },
]
