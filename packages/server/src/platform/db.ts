import postgres from 'postgres'
import { readDatabaseUrl } from './database-url.ts'

/** A pool or a transaction: what store functions take, so that they compose. */
export type Sql = postgres.ISql<Types>
export type Pool = postgres.Sql<Types>
type Row = postgres.MaybeRow
type Types = { bigint: bigint }

/** What the database refuses, by its SQLSTATE. Its words quote the values of rows: they are for nobody. */
export const { PostgresError } = postgres

export interface Caller {
  /** Whose rows may be seen; null for a caller who has only shown something. */
  account: string | null
  /** Hex of the hash of what the caller has shown (see `presented()` in the migrations). */
  presented?: string
}

/**
 * The owner migrates (`migrate.ts`), `as` answers callers, `jobs` does the work of nobody in particular, and `operate`
 * does what people who run the service ask for.
 */
export interface Db {
  /** One transaction under row-level security as this caller. */
  as<T>(caller: Caller, run: (tx: Sql) => Promise<T>): Promise<T>
  /**
   * One query under row-level security as this caller, for about a quarter of what a transaction costs: who is asking
   * travels in the statement, and all that is asked for at once in one packet over one connection. Each waits for those
   * before it, so only for what is found by a look at an index. A query that writes is refused as bad syntax.
   */
  read<T extends readonly Row[]>(caller: Caller, query: (sql: Sql) => postgres.PendingQuery<T>): Promise<T>
  /** The jobs role: sees all tenants, has narrow grants. */
  jobs: Pool
  /** Runs one transaction of the jobs role. */
  work<T>(run: (tx: Sql) => Promise<T>): Promise<T>
  /** One transaction of the operators' role: it reaches money, and the log of what operators do. */
  operate<T>(run: (tx: Sql) => Promise<T>): Promise<T>
  /** Calls back for each notification; resolves once it listens. */
  listen(channel: string, heard: (payload: string) => void, listening?: () => void): Promise<void>
  /** Resolves once the database has answered. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** Where a role logs in; `assume` takes it on after connecting, when the URL logs in as somebody else. */
export interface RoleLogin {
  url: string
  assume: boolean
}

export interface DbLogins {
  /** Undefined: this server answers no callers. */
  app: RoleLogin | undefined
  jobs: RoleLogin
  /** Undefined: no operator can ask for anything here. */
  operator: RoleLogin | undefined
  connectionsMax: number
}

const IDLE_IN_TRANSACTION_MS = 30_000
/** Operators are few, and connections are made when one of them asks for something. */
const OPERATOR_CONNECTIONS_MAX = 2

export function openPool(url: string, options: { role?: string; connectionsMax: number }): Pool {
  const address = readDatabaseUrl(url)
  return postgres(address.url, {
    ssl: address.ssl,
    max: options.connectionsMax,
    idle_timeout: 60,
    connect_timeout: 10,
    // A restart of the database is waited out by the caller's own retries, not by growing pauses here.
    backoff: (attempt) => Math.min(0.05 * 2 ** attempt, 1),
    onnotice: () => {},
    connection: {
      application_name: 'agentctl',
      // A worker that is held in the middle of a transaction must not hold its rows for ever.
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      ...(options.role ? { role: options.role } : {}),
    },
    types: { bigint: postgres.BigInt },
  })
}

export function openDb(logins: DbLogins): Db {
  const open = ({ url, assume }: RoleLogin, role: string, connectionsMax = logins.connectionsMax): Pool =>
    openPool(url, { ...(assume ? { role } : {}), connectionsMax })
  const app = logins.app && open(logins.app, 'agentctl_app')
  const jobs = open(logins.jobs, 'agentctl_jobs')
  const operator = logins.operator && open(logins.operator, 'agentctl_operator', OPERATOR_CONNECTIONS_MAX)
  const reads = logins.app && open(logins.app, 'agentctl_app', 1)
  const answering = (pool: Pool | undefined): Pool => {
    if (!pool) throw new Error('This server answers no callers: it has no DATABASE_APP_URL.')
    return pool
  }
  return {
    async as(caller, run) {
      return inTransaction(answering(app), (tx) => {
        // Not awaited: it travels in the same packet as the first query of `run`, and if it fails, so does that.
        entering(tx, caller).catch(() => {})
        return run(tx)
      })
    },
    read: (caller, query) => reading(answering(reads), caller, query),
    jobs,
    work: (run) => inTransaction(jobs, run),
    async operate(run) {
      if (!operator)
        throw new Error('This server takes no orders of operators: it has no DATABASE_OPERATOR_URL.')
      return inTransaction(operator, run)
    },
    async listen(channel, heard, listening) {
      await jobs.listen(channel, heard, listening)
    },
    async ping() {
      await jobs`select 1`
    },
    async close() {
      await Promise.all([app, reads, jobs, operator].map((pool) => pool?.end({ timeout: 5 })))
    },
  }
}

/** Says who is asking until the transaction ends; the policies of the tables ask for it. */
const entering = (tx: Sql, { account, presented }: Caller) => tx`
  select set_config('app.account_id', ${account ?? ''}, true), set_config('app.presented', ${presented ?? ''}, true)`

/** Says it in the statement itself. */
function reading<T extends readonly Row[]>(
  sql: Pool,
  { account, presented }: Caller,
  query: (sql: Sql) => postgres.PendingQuery<T>,
): postgres.PendingQuery<T> {
  // A condition without columns is answered before any row is looked for, and what it sets is gone at the end of the
  // statement. Were it answered later, the query would see nothing.
  return sql`
    select * from (${query(sql)}) as seen where (
      select set_config('app.account_id', ${account ?? ''}, true) || set_config('app.presented', ${presented ?? ''}, true)
    ) is not null`
}

async function inTransaction<T>(pool: Pool, run: (tx: Sql) => Promise<T>): Promise<T> {
  // `begin` unwraps arrays of promises in its type; the box keeps T as it is.
  const { value } = await pool.begin(async (tx) => ({ value: await run(tx) }))
  return value
}

/** Whether an error is the database's refusal because of a unique constraint (optionally this one). */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return (
    error instanceof PostgresError &&
    error.code === '23505' &&
    (constraint === undefined || error.constraint_name === constraint)
  )
}
