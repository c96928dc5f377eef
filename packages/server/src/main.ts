import { parseArgs } from 'node:util'
import { reseal } from './agents/reseal.ts'
import { type Role, readConfig, readOwnerUrl, roles } from './platform/config.ts'
import { openDb, PostgresError } from './platform/db.ts'
import { endOnFault, faultOf } from './platform/fault.ts'
import { checkKeys } from './platform/key-check.ts'
import { openKeyring } from './platform/keyring.ts'
import { standardLog } from './platform/log.ts'
import { migrate } from './platform/migrate.ts'
import { startServer } from './server.ts'

const log = standardLog()
endOnFault(log)

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

/** With the settings that every role has: the login of jobs, and the keyring. */
async function sealAnew(): Promise<void> {
  const config = readConfig(undefined, ['router'])
  const url = config.databaseJobsUrl ?? config.databaseUrl
  if (!url) throw new Error('Set DATABASE_JOBS_URL.')
  const jobs = { url: url.reveal(), assume: config.databaseJobsUrl === undefined }
  const db = openDb({ app: undefined, jobs, operator: undefined, connectionsMax: 1 })
  try {
    const keyring = openKeyring(config.keyringFile)
    await checkKeys(db.jobs, { keyring, pepper: undefined })
    const { secrets, credentials, webhooks, stillNeeded } = await reseal({ db, keyring })
    log.info('Sealed with the newest key', { count: secrets + credentials + webhooks })
    if (stillNeeded.length === 0) return
    throw new Error(
      `Rows still need ${stillNeeded.join(', ')}: keep what is named here in KEYRING_FILE, and run this again in a few minutes.`,
    )
  } finally {
    await db.close()
  }
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
      reseal: { type: 'boolean', default: false },
    },
  })
  if (values.migrate) {
    const ran = await migrate(readOwnerUrl())
    log.info('The database is up to date', { count: ran.length })
  } else if (values.reseal) await sealAnew()
  else await serve(rolesFrom(values.roles))
} catch (error) {
  // Settings and files of the operator, never anything of a user's: PostgreSQL's own words quote what is in its rows.
  const said = !(error instanceof Error)
    ? typeof error
    : error instanceof PostgresError
      ? `PostgreSQL refused it: ${faultOf(error)}`
      : error.message
  process.stdout.write(`error: ${said}\n`)
  process.exit(1)
}
