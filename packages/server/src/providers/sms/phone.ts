import { type PhoneNumber, parsePhoneNumberFromString } from 'libphonenumber-js/max'
import { Problem } from '../../platform/problem.ts'
import { Secret } from '../../platform/secret.ts'

/** A number in E.164 form that codes may be sent to. It prints as `[redacted]`; nothing keeps it. */
export class Phone extends Secret {
  readonly country: string

  constructor(e164: string, country: string) {
    super(e164)
    this.country = country
  }

  /** The number without its last four digits: numbers that are rented in a row for pumping share it. */
  range(): string {
    return this.reveal().slice(0, -4)
  }
}

function numberIn(text: string): PhoneNumber {
  const number = parsePhoneNumberFromString(text, { extract: false })
  if (!text.trim().startsWith('+') || !number || number.ext) {
    throw new Problem('invalid_request', 'The phone number must be in international form.', {
      fix: 'Write it with a plus sign and the country code, such as +821012345678.',
    })
  }
  return number
}

/** A number to look for, wherever it is from: it may be of an account that was made when codes were sent there. */
export function readPhone(text: string): Phone {
  const { number, country = '' } = numberIn(text)
  return new Phone(number, country)
}

/**
 * Refuses locally, before any money is spent, what is not a mobile number of one of these countries: premium, shared
 * cost, toll-free, VoIP and fixed lines.
 */
export function parsePhone(text: string, countries: readonly string[]): Phone {
  const number = numberIn(text)
  const country = number.country
  if (!country || !countries.includes(country)) {
    throw new Problem('unsupported_number', 'Codes are not sent to numbers of this country.')
  }
  if (!number.isValid()) {
    throw new Problem('invalid_request', 'This phone number does not exist.', { fix: 'Check its digits.' })
  }
  const type = number.getType()
  if (type !== 'MOBILE' && type !== 'FIXED_LINE_OR_MOBILE') {
    throw new Problem('unsupported_number', 'Codes are sent to mobile numbers only.')
  }
  return new Phone(number.number, country)
}
