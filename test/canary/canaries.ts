import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import type { Platform } from '../many-servers/platform.ts'
import type { Canary } from './forms.ts'

const text = (about: string): string => `${about}/${randomBytes(12).toString('base64')}`
/** A range that exists: not all that begin with 59 do. */
const phone = (): string => `+8210${randomInt(2000, 5000)}${randomInt(1000, 9999)}`
/** Of the shape that the digit at the end proves. */
function card(): string {
  const digits = [4, ...Array.from({ length: 14 }, () => randomInt(10))]
  const sum = digits.reduce((total, digit, at) => {
    const weighed = at % 2 === 0 ? digit * 2 : digit
    return total + (weighed > 9 ? weighed - 9 : weighed)
  }, 0)
  return [...digits, (10 - (sum % 10)) % 10].join('')
}

/** What is driven through the service: made here, or learned on the way. */
export class Canaries {
  readonly all: Canary[] = []
  readonly phone = this.add('phone number', phone(), 'phone')
  readonly nextPhone = this.add('next phone number', phone(), 'phone')
  /** Of nobody who ever logs in. */
  readonly otherPhone = this.add('next phone number', phone(), 'phone')
  readonly thirdPhone = this.add('next phone number', phone(), 'phone')
  readonly card = this.add('card number', card(), 'card')
  readonly privateKey = this.add(
    'private key of a wallet',
    `0x${randomBytes(32).toString('hex')}`,
    'hex',
  ) as `0x${string}`
  readonly secret = this.add('secret of an agent', text('hush'))
  readonly unusedSecret = this.add('unused secret of an agent', text('later'))
  readonly content = this.add('contents of a file', text('written'))
  readonly line = this.add('line that an agent printed', text('said'))
  readonly hostname = this.add('hostname of a domain', `c${randomBytes(8).toString('hex')}.example.com`)
  readonly body = this.add('body of a refused request', text('body'))
  readonly query = this.add('query of a request', text('query'))
  readonly header = this.add('header of a request', text('header'))
  readonly path = this.add('path that is none', `nowhere-${randomBytes(8).toString('hex')}`)
  readonly asked = this.add('path asked of an agent', `asked-${randomBytes(8).toString('hex')}`)
  readonly client = this.add(
    'address of a client',
    `2001:db8:${randomBytes(6).toString('hex').match(/..../g)?.join(':')}::1`,
  )
  readonly wallet: string

  constructor({ cloud, keys }: Pick<Platform, 'cloud' | 'keys'>) {
    this.wallet = privateKeyToAccount(this.privateKey).address
    this.add('wallet address', this.wallet, 'hex')
    this.add('wallet address', this.wallet.toLowerCase(), 'hex')
    const set = cloud.serverEnvironment
    for (const [kind, value] of [
      ["Twilio's credential", set.TWILIO_AUTH_TOKEN],
      ["Stripe's credential", set.STRIPE_SECRET_KEY],
      ['secret of webhooks', set.STRIPE_WEBHOOK_SECRET],
      ["Vultr's credential", set.VULTR_API_KEY],
      ["Cloudflare's credential", set.CLOUDFLARE_API_TOKEN],
      ["an operator's token", this.operatorToken(cloud.localFile)],
      ['key that seals secrets', keyIn(keys.KEYRING_FILE)],
      ['pepper of phones', keyIn(keys.PEPPER_FILE)],
    ] as const) {
      this.add(kind, value ?? '')
    }
  }

  add(kind: string, value: string, as?: Canary['as']): string {
    this.all.push({ kind, value, ...(as ? { as } : {}) })
    return value
  }

  operatorToken(localFile: string): string {
    return readFileSync(join(localFile, '..', 'operator-token'), 'utf8').trim()
  }
}

const keyIn = (file: string): string => JSON.parse(readFileSync(file, 'utf8')).keys[0].key
