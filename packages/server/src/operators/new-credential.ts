import { newToken, tokenHash } from '../platform/tokens.ts'

// A program of its own, for whoever configures the service: node new-credential.ts NAME
const [name = ''] = process.argv.slice(2)
if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) {
  process.stderr.write('usage: node new-credential.ts NAME   (small letters, digits and dashes)\n')
  process.exit(2)
}
const token = newToken('o').reveal()
process.stdout.write(
  `For ${name}, shown only now:\n  AGENTCTL_OPERATOR_TOKEN=${token}\nFor the server, beside other operators after a comma:\n  OPERATORS=${name}=${tokenHash(token).toString('hex')}\n`,
)
