import { createHash } from 'node:crypto'
import { type Role, roles, type Scope, scopes } from '@agentctl/contract/endpoint.ts'
import { newToken, tokenHash } from '../../src/platform/tokens.ts'
import type { ServedApi } from './served-api.ts'

/** A customer with a namespace, one member in each role, an agent with what belongs to it, payments and keys. */
export interface Tenant {
  /** In every id of its rows, so that they can be told from all others. */
  mark: string
  namespace: string
  agent: string
  release: string
  deposit: string
  domain: string
  checkout: string
  /** A session and a key that no credential below is. */
  spareSession: string
  spareKey: string
  /** A member that none of the people below is. */
  guest: string
  people: Record<Role, { account: string; session: string }>
  keys: {
    full: string
    expired: string
    revoked: string
    /** Bound to another namespace of its owner. */
    elsewhere: string
    lacking: Record<Scope, string>
  }
  expiredSession: string
  machine: string
}

const DAY_MS = 86_400_000
let planted = 0

/** Plants a tenant by rows alone. */
export async function plantTenant(
  { sql, deps }: Pick<ServedApi, 'sql' | 'deps'>,
  name?: string,
): Promise<Tenant> {
  const mark = name ?? `t${(++planted).toString(36)}x`
  const id = (prefix: string, what = ''): string => `${prefix}_${`${what}${mark}`.padEnd(20, '0')}`
  const now = deps.clock.now()
  const later = new Date(now.getTime() + DAY_MS)
  const earlier = new Date(now.getTime() - DAY_MS)
  const namespace = { id: id('ns'), name: `own-${mark}` }
  const elsewhere = { id: id('ns', 'else'), name: `else-${mark}` }
  const names = [...roles, 'guest'] as const
  const account = (role: (typeof names)[number]): string => id('acc', role)
  const owner = account('owner')
  const ledger = id('lac')
  const agent = id('agt')
  const release = id('rel')
  const machineToken = newToken('m').reveal()

  const sessions = [
    ...roles.map((role) => ({ role, ends: later, what: role })),
    { role: 'owner' as const, ends: later, what: 'spare' },
    { role: 'owner' as const, ends: earlier, what: 'ended' },
  ].map((one) => ({ ...one, token: newToken('s').reveal() }))
  const keys = [
    { what: 'full', has: [...scopes] },
    { what: 'expired', has: [...scopes], ends: earlier },
    { what: 'revoked', has: [...scopes], revoked: earlier },
    { what: 'elsewhere', has: [...scopes], bound: elsewhere.id },
    // With this scope only: whoever may manage keys at all may manage this one.
    { what: 'spare', has: ['keys:manage'] },
    ...scopes.map((lacking, at) => ({
      what: `lacks${at}`,
      has: scopes.filter((scope) => scope !== lacking),
    })),
  ].map((one) => ({ ...one, token: newToken('k').reveal() }))
  const tokenOf = (list: readonly { what: string; token: string }[], what: string): string => {
    const found = list.find((one) => one.what === what)
    if (!found) throw new Error(`Nobody planted ${what}.`)
    return found.token
  }

  await sql.begin(async (tx) => {
    const written: Promise<unknown>[] = []
    const insert = (table: string, rows: readonly Record<string, unknown>[]): void => {
      written.push(tx`insert into ${tx(table)} ${tx(rows as never)}`.execute())
    }
    insert(
      'accounts',
      names.map((role) => ({ id: account(role), created_at: now, terms_accepted_at: now })),
    )
    insert(
      'namespaces',
      [namespace, elsewhere].map((one) => ({ ...one, owner_account_id: owner, created_at: now })),
    )
    insert('members', [
      ...names.map((role) => ({
        namespace_id: namespace.id,
        account_id: account(role),
        role: role === 'guest' ? 'viewer' : role,
        created_at: now,
      })),
      { namespace_id: elsewhere.id, account_id: owner, role: 'owner', created_at: now },
    ])
    insert(
      'sessions',
      sessions.map(({ what, role, ends, token }) => ({
        id: id('ses', what),
        token_hash: tokenHash(token),
        account_id: account(role),
        login_method: 'wallet',
        created_at: now,
        last_used_at: now,
        expires_at: ends,
      })),
    )
    insert(
      'api_keys',
      keys.map(({ what, token, has, ...one }) => ({
        id: id('key', what),
        key_hash: tokenHash(token),
        prefix: token.slice(0, 15),
        account_id: owner,
        namespace_id: 'bound' in one ? one.bound : null,
        name: what,
        scopes: has,
        created_at: now,
        expires_at: 'ends' in one ? one.ends : later,
        revoked_at: 'revoked' in one ? one.revoked : null,
      })),
    )
    insert('agents', [
      {
        id: agent,
        namespace_id: namespace.id,
        name: 'hello',
        label: `hello-${mark}`,
        size: 'nano',
        status: 'running',
        release_id: release,
        desired_release_id: release,
        created_at: now,
        used_at: now,
      },
    ])
    const config = {
      size: 'nano',
      install: null,
      start: 'node .',
      port: null,
      health: { path: null, timeoutSeconds: 60 },
      env: {},
      domains: [],
    }
    insert('releases', [
      {
        id: release,
        agent_id: agent,
        namespace_id: namespace.id,
        number: 1,
        status: 'live',
        config: tx.json(config),
        file_count: 0,
        created_at: now,
        live_at: now,
        finished_at: now,
      },
    ])
    insert('machines', [
      {
        id: id('mch'),
        agent_id: agent,
        namespace_id: namespace.id,
        generation: 1,
        label: `test:${mark}`,
        operation_id: id('op'),
        plan: 'vc2-1c-1gb',
        state: 'ready',
        address: '127.0.0.1',
        port: 1,
        token_hash: tokenHash(machineToken),
        created_at: now,
      },
    ])
    insert('domains', [
      {
        id: id('dom'),
        namespace_id: namespace.id,
        agent_id: agent,
        hostname: `${mark}.example.com`,
        status: 'pending',
        created_at: now,
        attended_at: now,
        given_up_at: later,
      },
    ])
    insert('ledger_balances', [{ ledger_account_id: ledger, balance_micros: 5_000_000, created_at: now }])
    insert('billing_accounts', [{ account_id: owner, ledger_account_id: ledger }])
    const txHash = `0x${createHash('sha256').update(mark).digest('hex')}`
    insert('deposits', [
      {
        id: id('dep'),
        ledger_account_id: ledger,
        chain_id: 8453,
        tx_hash: txHash,
        status: 'pending',
        created_at: now,
        sought_since: now,
        look_at: now,
      },
    ])
    insert('checkouts', [
      {
        id: id('chk'),
        ledger_account_id: ledger,
        request_key: mark,
        amount_micros: 25_000_000,
        status: 'open',
        session_id: `cs_${mark}`,
        url: 'https://pay.example.com',
        created_at: now,
        expires_at: later,
      },
    ])
    insert('notices', [
      { id: id('ntc'), account_id: owner, kind: 'test', message: 'Hello.', created_at: now },
    ])
    await Promise.all(written)
  })

  const people = Object.fromEntries(
    roles.map((role) => [role, { account: account(role), session: tokenOf(sessions, role) }]),
  ) as Tenant['people']
  return {
    mark,
    namespace: namespace.name,
    agent,
    release,
    deposit: id('dep'),
    domain: id('dom'),
    checkout: id('chk'),
    spareSession: id('ses', 'spare'),
    spareKey: id('key', 'spare'),
    guest: account('guest'),
    people,
    keys: {
      full: tokenOf(keys, 'full'),
      expired: tokenOf(keys, 'expired'),
      revoked: tokenOf(keys, 'revoked'),
      elsewhere: tokenOf(keys, 'elsewhere'),
      lacking: Object.fromEntries(
        scopes.map((scope, at) => [scope, tokenOf(keys, `lacks${at}`)]),
      ) as Tenant['keys']['lacking'],
    },
    expiredSession: tokenOf(sessions, 'ended'),
    machine: machineToken,
  }
}

/** Looks at, and clears away, every row in every table that names a tenant. */
export async function openTraces({ sql }: Pick<ServedApi, 'sql'>): Promise<{
  digest(tenant: Tenant): Promise<string>
  clear(tenant: Tenant): Promise<void>
}> {
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`
  const parts = tables.map(
    ({ name }) =>
      `select '${name}' as at, t::text as line from "${name}" t where t::text like '%' || $1 || '%'`,
  )
  const query = `select coalesce(md5(string_agg(at || line, ';' order by at, line)), '') as digest from (${parts.join(' union all ')}) as rows`
  return {
    async digest({ mark }) {
      const [row] = await sql.unsafe<{ digest: string }[]>(query, [mark], { prepare: true })
      if (!row?.digest) throw new Error(`There are no rows of ${mark}.`)
      return row.digest
    },
    async clear({ mark }) {
      // Without triggers: some rows may never be deleted by anybody, and what hangs on others goes with them here.
      const deletes = tables.map(({ name }) => `delete from "${name}" t where t::text like '%${mark}%'`)
      const statements = ['set local session_replication_role = replica', ...deletes].join('; ')
      await sql.begin((tx) => tx.unsafe(statements))
    },
  }
}
