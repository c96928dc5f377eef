import { DOLLAR, depositWorld, treasury } from '@agentctl/server/billing/testing/deposit-world.ts'
import type { Fault } from '@agentctl/server/billing/testing/paying.ts'
import { expect, test } from 'vitest'

const { booksMatchTheChain, chain, claim, confirm, credits, look, node, payer, scan, status } =
  await depositWorld({ timeoutMs: 800 })

const answers = [401, 403, 404, 409, 422, 429, 500, 503].map((status) => ({
  name: `answers ${status}`,
  wrong: { status, body: '<html>no</html>' },
}))
const errors: readonly { name: string; wrong: Exclude<ReturnType<Fault>, undefined> }[] = [
  ...answers,
  { name: 'answers with HTML', wrong: { status: 200, body: '<html></html>' } },
  { name: 'breaks the schema of its answers', wrong: { result: { nonsense: true } } },
  { name: 'answers nothing', wrong: { result: null } },
  { name: 'breaks the connection off', wrong: 'drop' },
  { name: 'never answers', wrong: 'hang' },
]

// A chain is asked questions only: there is no effect before which, or after which, an answer could be lost.
test.each(errors)(
  'a node that $name credits nothing, loses nothing, and says nothing of itself',
  async ({ wrong }) => {
    const who = await payer()
    const { hash } = await chain.pay(who.wallet, treasury, 7n * DOLLAR)
    await chain.mine(6)
    await claim(who, hash)
    node.misbehave(() => wrong)
    await expect(scan()).rejects.toThrow()
    await expect(confirm()).rejects.toThrow()
    expect(await credits(who)).toBe(0n)
    expect(await status(who, hash)).toBe('pending')
    node.misbehave(undefined)
    await look()
    expect(await credits(who)).toBe(7n * DOLLAR)
    expect(await status(who, hash)).toBe('credited')
    await booksMatchTheChain()
  },
)
