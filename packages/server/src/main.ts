import { parseArgs } from 'node:util'
import { readConfig } from './platform/config.ts'
import { faultOf, jsonLog } from './platform/log.ts'
import { type Role, roles, startServer } from './server.ts'

const log = jsonLog((line) => process.stdout.write(line))

function chosenRoles(): Role[] {
  const { values } = parseArgs({ options: { roles: { type: 'string', default: roles.join(',') } } })
  return values.roles.split(',').map((name) => {
    const role = roles.find((known) => known === name)
    if (!role) throw new Error(`There is no role ${name}; choose from ${roles.join(', ')}.`)
    return role
  })
}

try {
  const server = await startServer({ config: readConfig(), log, roles: chosenRoles() })
  const stop = (): void => {
    server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('The server did not stop in good order', { fault: faultOf(error) })
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
} catch (error) {
  // Settings and files of the operator, never anything of a user's.
  process.stdout.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
