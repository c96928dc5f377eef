import { Failure } from '../failure.ts'
import { isLoopback } from '../loopback-names.ts'

/** The service's own host, or a domain above it: api.example.com may sign people in to example.com. */
function belongsTo(domain: string, apiUrl: URL): boolean {
  if (domain === apiUrl.host) return true
  const said = URL.parse(`http://${domain}`)
  if (!said) return false
  if (isLoopback(said) && isLoopback(apiUrl)) return said.port === apiUrl.port
  return said.hostname.includes('.') && apiUrl.hostname.endsWith(`.${said.hostname}`)
}

/**
 * Looks at what a server wants signed. Without this, a service at a wrong address could hand over the sign-in
 * message of another site, and be logged in there.
 */
export function checkSignInMessage(
  message: string,
  { apiUrl, address }: { apiUrl: string; address: string },
): void {
  const [first = '', second = ''] = message.split('\n')
  const domain = /^(?:https?:\/\/)?(\S+) wants you to sign in with your Ethereum account:$/.exec(first)?.[1]
  const refuse = (why: string) =>
    new Failure('login_failed', `The service asked for a signature that it should not have: ${why}`, {
      fix: 'Nothing was signed. Check --api-url.',
    })
  if (domain === undefined) throw refuse('this is not a sign-in message')
  if (!belongsTo(domain, new URL(apiUrl)))
    throw refuse(`it signs in to ${domain}, not to ${new URL(apiUrl).host}`)
  if (second.toLowerCase() !== address.toLowerCase()) throw refuse('it names another address')
}
