import { parseArgs } from 'node:util'
import { type Role, readConfig, readOwnerUrl, roles } from './platform/config.ts'
import { faultOf, jsonLog } from './platform/log.ts'
import { migrate } from './platform/migrate.ts'
import { startServer } from './server.ts'

const log = jsonLog((line) => process.stdout.write(line))

async function serve(chosen: Role[]): Promise<void> {
  const server = await startServer({ config: readConfig(undefined, chosen), log, roles: chosen })
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
}

function rolesFrom(names: string): Role[] {
  return names.split(',').map((name) => {
    const role = roles.find((known) => known === name)
    if (!role) throw new Error(`There is no role ${name}; choose from ${roles.join(', ')}.`)
    return role
  })
}

try {
  const { values } = parseArgs({
    options: {
      roles: { type: 'string', default: roles.join(',') },
      migrate: { type: 'boolean', default: false },
    },
  })
  if (values.migrate) {
    const ran = await migrate(readOwnerUrl())
    log.info('The database is up to date', { count: ran.length })
  } else await serve(rolesFrom(values.roles))
} catch (error) {
  // Settings and files of the operator, never anything of a user's.
  process.stdout.write(`error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
