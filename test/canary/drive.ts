import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { callRpc } from '@agentctl/localcloud/json-rpc.ts'
import { waitUntil } from '@agentctl/localcloud/wait-until.ts'
import { expect } from 'vitest'
import { type Machine, newMachine, type RunOptions } from '../../packages/cli/src/testing/run-cli.ts'
import { visit } from '../many-servers/calls.ts'
import type { Platform } from '../many-servers/platform.ts'
import type { Canaries } from './canaries.ts'
import type { Text } from './places.ts'
import { askInVain } from './refusals.ts'

/** Answers with the hash of its secret, so that it is known to have it, and prints one line. */
const program = (canaries: Canaries): string => `
const { createHash } = require('node:crypto')
const { createServer } = require('node:http')
console.log(${JSON.stringify(canaries.line)})
createServer((request, response) => {
  response.end(createHash('sha256').update(process.env.HUSH ?? '').digest('hex'))
}).listen(process.env.PORT)
`

/** Somebody who does all that can be done here, from the first login to the end of the account. */
export class Drive {
  readonly printed: Text[] = []
  readonly #platform: Platform
  readonly #canaries: Canaries
  readonly #machine: Machine

  private constructor(platform: Platform, canaries: Canaries, machine: Machine) {
    this.#platform = platform
    this.#canaries = canaries
    this.#machine = machine
  }

  static async start(platform: Platform, canaries: Canaries): Promise<Drive> {
    const machine = await newMachine({ AGENTCTL_API_URL: platform.cloud.local.apiUrl })
    return new Drive(platform, canaries, machine)
  }

  end(): void {
    this.#machine.remove()
  }

  async logIn(): Promise<void> {
    const { phone, privateKey } = this.#canaries
    await this.#troubleAtTwilio(phone)
    await this.#run(['login', '--phone', phone, '--debug'], 2)
    await this.#run(['login', '--code', '000000'], 4)
    await this.#run(['login', '--code', await this.#code(phone), '--accept-terms', '--debug'])
    await this.#run(['account', 'update', '--wallet', '--debug'], 0, {
      env: { AGENTCTL_PRIVATE_KEY: privateKey },
    })
    await this.#run(['login', '--wallet', '--debug'], 0, { env: { AGENTCTL_PRIVATE_KEY: privateKey } })
    const config = JSON.parse(readFileSync(join(this.#machine.home, 'config/config.json'), 'utf8'))
    for (const { token, accountId } of Object.values<{ token: string; accountId: string }>(config.logins)) {
      this.#canaries.add('session token', token)
      this.#canaries.add('account id', accountId)
    }
  }

  /** Test money for the wallet, from one that has some. */
  async fund(): Promise<void> {
    const { chain } = this.#platform.cloud.local
    const from = this.#platform.cloud.wallets[8]?.address
    const to = this.#canaries.wallet
    const amount = (100_000_000).toString(16).padStart(64, '0')
    const call = `0xa9059cbb${to.slice(2).toLowerCase().padStart(64, '0')}${amount}`
    for (const sent of [
      { from, to, value: '0xde0b6b3a7640000' },
      { from, to: chain.token.address, data: call },
    ]) {
      const hash = await callRpc(chain.rpcUrl, 'eth_sendTransaction', [sent])
      await until(async () => (await callRpc(chain.rpcUrl, 'eth_getTransactionReceipt', [hash])) !== null)
    }
  }

  async pay(): Promise<void> {
    const { privateKey, card } = this.#canaries
    const { apiUrl } = this.#platform.cloud.local
    await this.#run(['billing', 'deposit', '25', '--yes', '--debug'], 0, {
      env: { AGENTCTL_PRIVATE_KEY: privateKey },
    })
    const opened = await this.#api('POST', '/v1/billing/checkouts', { amountMicros: '5000000' })
    const { id, url } = (await opened.json()) as { id: string; url: string }
    const page = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ choice: 'pay', number: card, cvc: '123' }),
    })
    expect(page.status).toBe(303)
    await fetch(new URL(page.headers.get('location') ?? '', apiUrl))
    await until(async () => {
      const answer = await this.#api('GET', `/v1/billing/checkouts/${id}`)
      return ((await answer.json()) as { status: string }).status === 'paid'
    })
    await this.#run(['billing', 'history'])
  }

  /** Keys; returns one that may do everything. */
  async makeKeys(): Promise<string> {
    const scopes = [
      'agents:read',
      'agents:write',
      'domains:write',
      'billing:read',
      'billing:write',
      'keys:manage',
    ]
    const flags = scopes.flatMap((scope) => ['--scope', scope])
    const { key } = JSON.parse(await this.#silently(['keys', 'create', 'ci', '--json', ...flags]))
    this.#canaries.add('API key', key)
    const { key: rotated } = JSON.parse(await this.#silently(['keys', 'rotate', 'ci', '--json']))
    this.#canaries.add('rotated API key', rotated)
    await this.#run(['whoami', '--debug'], 0, { env: { AGENTCTL_API_KEY: rotated } })
    await this.#run(['keys', 'list'])
    return rotated
  }

  async deploy(): Promise<void> {
    const { secret, unusedSecret, content, hostname, asked, client } = this.#canaries
    const folder = join(this.#machine.home, 'bot')
    mkdirSync(folder)
    writeFileSync(join(folder, 'index.js'), program(this.#canaries))
    writeFileSync(join(folder, 'notes.txt'), content)
    writeFileSync(join(folder, 'agent.json'), '{"name":"bot","start":"node index.js"}')
    await this.#run(['secrets', 'set', 'bot', 'HUSH', '--create', '--debug'], 0, { input: secret })
    await this.#run(['secrets', 'set', 'later', 'HUSH', '--create'], 0, { input: unusedSecret })
    const url = (await this.#run(['deploy', 'bot', '--yes', '--quiet', '--debug'])).trim()
    const port = Number(new URL(this.#platform.cloud.local.routerUrl).port)
    const answer = await visit(port, url, `/${asked}?${asked}`, { cookie: asked, 'cf-connecting-ip': client })
    expect(answer.statusCode).toBe(200)
    answer.resume()
    await this.#run(['domains', 'add', hostname, '--agent', 'bot'])
    await this.#run(['domains', 'check', hostname], 1)
    await until(async () => (await this.#run(['agents', 'logs', 'bot'])).includes(this.#canaries.line))
    await this.#run(['secrets', 'list', 'bot'])
    await this.#run(['agents', 'show', 'bot', '--json'])
  }

  async rest(): Promise<void> {
    await this.#run(['agents', 'stop', 'bot'])
    // Its disk is copied while it counts as stopped.
    await until(async () => {
      const answer = await this.#api('GET', '/v1/agents/bot')
      return ((await answer.json()) as { step: string | null }).step === null
    })
    await this.#run(['agents', 'export', 'bot', '--output', 'bot.json'])
    this.printed.push({ name: 'bot.json', bytes: readFileSync(join(this.#machine.home, 'bot.json')) })
  }

  refuse(key: string): Promise<number[]> {
    return askInVain(this.#platform, this.#canaries, key)
  }

  async useRights(): Promise<void> {
    const { phone, nextPhone } = this.#canaries
    const { apiUrl } = this.#platform.cloud.local
    await this.#run(['account', 'export', '--output', 'me.json'])
    this.printed.push({ name: 'me.json', bytes: readFileSync(join(this.#machine.home, 'me.json')) })
    const operator = {
      env: { AGENTCTL_OPERATOR_TOKEN: this.#canaries.operatorToken(this.#platform.cloud.localFile) },
    }
    await this.#run(['operator', 'find', phone], 2, operator)
    await this.#run(['operator', 'find', '--debug'], 0, { ...operator, input: phone })
    await this.#run(['account', 'update', '--phone', nextPhone], 2)
    await this.#run(['account', 'update', '--code', await this.#code(nextPhone)])
    await fetch(`${apiUrl}/v1/policy`)
  }

  async leave(): Promise<void> {
    await this.#silently(['account', 'delete', '--yes', '--forfeit'])
  }

  /** It says, as the real one does, which number it minds; and once it says nothing that is understood. */
  async #troubleAtTwilio(phone: string): Promise<void> {
    const { twilio } = this.#platform.cloud.local
    const message = `Invalid parameter \`To\`: ${phone}`
    for (const fault of [
      { kind: 'status', status: 400, body: { code: 60200, message, status: 400 } },
      { kind: 'status', status: 500, body: `<html>${message}</html>` },
    ]) {
      const at = { method: 'POST', path: '/v2/Services', times: 1, ...fault }
      await fetch(`${twilio.url}/_local/faults`, { method: 'POST', body: JSON.stringify(at) })
      // Whatever became of it, the answer is the same; a resend has to wait, so each is another number of no account.
      const answer = await fetch(`${this.#platform.cloud.local.apiUrl}/v1/logins/phone`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          phone: fault.status === 400 ? this.#canaries.thirdPhone : this.#canaries.otherPhone,
        }),
      })
      expect(`${answer.status} ${answer.ok ? '' : await answer.text()}`).toBe('202 ')
    }
  }

  async #code(phone: string): Promise<string> {
    const inbox = `${this.#platform.cloud.local.twilio.url}/_local/inbox?to=${encodeURIComponent(phone)}`
    const received = (await (await fetch(inbox)).json()) as { body: string; code: string }[]
    const asked = await (await fetch(`${this.#platform.cloud.local.twilio.url}/_local/requests`)).text()
    expect(received.length, `messages, after ${asked}`).toBeGreaterThan(0)
    const { body, code } = received.at(-1) ?? { body: '', code: '' }
    this.#canaries.add('login code', code, 'code')
    this.#canaries.add('text of a message', body)
    return code
  }

  #api(method: string, path: string, body?: object): Promise<Response> {
    const token = this.#canaries.all.findLast(({ kind }) => kind === 'session token')?.value
    return fetch(`${this.#platform.cloud.local.apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'idempotency-key': 'canary',
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  }

  async #run(args: string[], exit = 0, options: RunOptions = {}): Promise<string> {
    const ran = await this.#machine.run(args, options)
    this.printed.push({ name: `agentctl ${args[0]} ${args[1]}`, bytes: Buffer.from(ran.stdout + ran.stderr) })
    expect(`${args.slice(0, 2).join(' ')}: ${ran.code} ${ran.code === exit ? '' : ran.stderr}`).toBe(
      `${args.slice(0, 2).join(' ')}: ${exit} `,
    )
    return ran.stdout
  }

  /** What it prints is a key or a token for its user, once. */
  async #silently(args: string[]): Promise<string> {
    const ran = await this.#machine.run(args)
    expect(`${ran.code} ${ran.code === 0 ? '' : ran.stderr}`).toBe('0 ')
    return ran.stdout
  }
}

async function until(what: () => Promise<boolean>): Promise<void> {
  expect(await waitUntil(what, { withinMs: 60_000, everyMs: 100 })).toBe(true)
}
