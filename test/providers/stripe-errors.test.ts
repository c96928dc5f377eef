import { cardShop, eventually } from '@agentctl/server/billing/testing/card-shop.ts'
import { afterEach, expect, test } from 'vitest'
import { troubles } from './provider-errors.ts'

const shop = await cardShop({ timeoutMs: 800 })
await shop.work()
afterEach(() => shop.control('DELETE', '/faults'))

const PAGES = '/v1/checkout/sessions'

test.each(troubles)(
  'a page is opened once and paid once though each call to the processor meets $name once',
  async ({ fault }) => {
    const alice = await shop.person()
    const before = (await shop.control('GET', '/sessions')).body.length
    await shop.fault({ ...fault, method: 'POST', path: `${PAGES}$` })
    const { status, body } = await alice.topUp(25, 'key')
    expect(status).toBe(201)
    expect((await shop.control('GET', '/sessions')).body).toHaveLength(before + 1)
    for (const path of [`${PAGES}/*$`, '/v1/refunds$', '/v1/disputes$'])
      await shop.fault({ ...fault, method: 'GET', path })
    const session = String(new URL(body.url).pathname.split('/').at(-1))
    await shop.control('POST', `/sessions/${session}/pay`, { how: 'card' })
    // Nobody waits for the pauses between two visits.
    await eventually(async () => {
      await shop.sql`
        update operations set run_at = clock_timestamp()
        where state = 'pending' and lease_until is null and run_at > clock_timestamp()`
      return (await alice.dollars()) === 25
    })
    await shop.quiet()
    expect(await alice.entries()).toEqual(['deposit 25'])
  },
  60_000,
)

test.each(troubles)(
  'while the processor answers with $name nobody pays, that is said, and the same request later finds its page',
  async ({ fault }) => {
    const alice = await shop.person()
    await shop.fault({ ...fault, method: 'POST', path: PAGES, times: null })
    const refused = await alice.topUp(25, 'key')
    expect(refused).toMatchObject({
      status: 503,
      body: { code: 'provider_unavailable', detail: expect.not.stringMatching(/html|Stripe/i) },
    })
    await shop.control('DELETE', '/faults')
    const pages = async () => (await shop.control('GET', '/sessions')).body.length
    const before = await pages()
    const again = await alice.topUp(25, 'key')
    expect(again.status).toBe(201)
    expect(await pages()).toBeLessThanOrEqual(before + 1)
    expect(await alice.topUp(25, 'key')).toEqual(again)
    expect(await alice.entries()).toEqual([])
  },
)

test.each([400, 404, 409, 422])(
  'a page that is refused with %i is opened by nobody, and that is said',
  async (status) => {
    const alice = await shop.person()
    const body = { error: { type: 'invalid_request_error', message: 'Invalid <thing>' } }
    await shop.fault({ kind: 'status', status, body, method: 'POST', path: PAGES, times: null })
    const refused = await alice.topUp(25)
    expect(refused.status).toBeGreaterThanOrEqual(400)
    expect(JSON.stringify(refused.body)).not.toContain('<thing>')
    expect(refused.body.code).toMatch(/^(provider_unavailable|unavailable|conflict|invalid_request)$/)
    expect(await alice.entries()).toEqual([])
  },
)
