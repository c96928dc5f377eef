import { createHash } from 'node:crypto'
import type { Pool } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'

/** An account of which every table that can hold something holds something; planted by rows alone. */
export interface PlantedAccount {
  id: string
  namespaceId: string
  namespace: string
  agentId: string
  wallet: string
  phoneHmac: Buffer
  ledgerAccount: string
  payment: { chainId: number; txHash: string; ordinal: number }
  label: string
  sha256: Buffer
  /** What no other account has, as it would stand in a row. */
  marks: string[]
}

export const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

export async function plantAccount(
  sql: Pool,
  name: string,
  now: Date,
  { creditsMicros = 0n }: { creditsMicros?: bigint } = {},
): Promise<PlantedAccount> {
  const id = newId('acc')
  const namespaceId = newId('ns')
  const agentId = newId('agt')
  const releaseId = newId('rel')
  const ledgerAccount = newId('lac')
  const hash = (what: string): Buffer => digest(`${what} of ${name}`)
  const wallet = `0x${hash('wallet').toString('hex').slice(0, 40)}`
  const txHash = `0x${hash('payment').toString('hex')}`
  const later = new Date(now.getTime() + 86_400_000)
  const [phoneHmac, sha256] = [hash('phone'), hash('file')]
  const label = `${name}-agent`
  const checkout = newId('chk')
  const insert = (table: string, row: Record<string, unknown>) =>
    sql`insert into ${sql(table)} ${sql(row as never)}`

  await insert('accounts', { id, created_at: now, terms_accepted_at: now, policy_seen: now })
  await insert('namespaces', { id: namespaceId, name, owner_account_id: id, created_at: now })
  await insert('members', { namespace_id: namespaceId, account_id: id, role: 'owner', created_at: now })
  await insert('invitations', {
    id: newId('inv'),
    namespace_id: namespaceId,
    role: 'viewer',
    code_hash: hash('invitation'),
    created_by: id,
    created_at: now,
    expires_at: later,
  })
  await insert('phones', { phone_hmac: phoneHmac, pepper_version: 1, account_id: id, linked_at: now })
  await insert('wallets', { address: wallet, account_id: id, linked_at: now })
  await insert('phone_challenges', {
    id: newId('chl'),
    phone_hmac: phoneHmac,
    pepper_version: 1,
    older_hmacs: [],
    country: 'KR',
    created_at: now,
    expires_at: later,
  })
  await insert('wallet_challenges', {
    nonce_hash: hash('nonce'),
    address: wallet,
    message_hash: hash('message'),
    created_at: now,
    expires_at: later,
  })
  await insert('signups', {
    token_hash: hash('signup'),
    wallet_address: wallet,
    created_at: now,
    expires_at: later,
  })
  await insert('sessions', {
    id: newId('ses'),
    token_hash: hash('session'),
    account_id: id,
    login_method: 'wallet',
    device: `laptop of ${name}`,
    created_at: now,
    last_used_at: now,
    expires_at: later,
    proved_at: now,
  })
  await insert('api_keys', {
    id: newId('key'),
    key_hash: hash('key'),
    prefix: 'actl_k_ABCDEFGH',
    account_id: id,
    namespace_id: namespaceId,
    name: `ci of ${name}`,
    scopes: ['agents:read'],
    created_at: now,
  })
  await insert('idempotency_keys', {
    account_id: id,
    key: `once-${name}`,
    request_hash: hash('request'),
    created_at: now,
  })
  await insert('notices', {
    id: newId('ntc'),
    account_id: id,
    kind: 'test',
    message: `Hello ${name}.`,
    created_at: now,
  })
  await insert('announcement_reads', { account_id: id, announcement_id: 'ann_1', read_at: now })
  await insert('notice_webhooks', {
    account_id: id,
    url: `https://${name}.example.com/hook`,
    key_id: 'k1',
    nonce: Buffer.alloc(12),
    ciphertext: hash('webhook'),
    created_at: now,
    next_at: now,
  })
  await insert('notice_deliveries', { account_id: id, notice_id: 'ntc_1', delivered_at: now })
  await insert('account_standings', { account_id: id, reason: `asked by ${name}`, since: now })
  await insert('spend_limits', { account_id: id, hard_hourly_micros: 5_000_000 })
  await insert('spend_warnings', { account_id: id, about: 'runway', said: '24' })
  await insert('rights_requests', {
    id: newId('rrq'),
    kind: 'access',
    came_by: 'mail',
    account_id: id,
    received_at: now,
    due_at: later,
  })
  await insert('agents', {
    id: agentId,
    namespace_id: namespaceId,
    name: 'agent',
    label,
    size: 'nano',
    status: 'stopped',
    created_at: now,
    used_at: now,
  })
  await insert('releases', {
    id: releaseId,
    agent_id: agentId,
    namespace_id: namespaceId,
    number: 1,
    status: 'retired',
    config: sql.json({ start: `node ${name}.js` }),
    file_count: 1,
    created_at: now,
  })
  await insert('release_files', {
    release_id: releaseId,
    path: `${name}.js`,
    sha256,
    size: 5,
    executable: false,
  })
  await insert('blobs', { account_id: id, sha256, size: 5, created_at: now, used_at: now })
  // One that no release needs, so that it does not go with the agent.
  await insert('blobs', { account_id: id, sha256: hash('draft'), size: 5, created_at: now, used_at: now })
  await insert('secrets', {
    agent_id: agentId,
    namespace_id: namespaceId,
    name: 'TOKEN',
    version: 1,
    key_id: 'k1',
    nonce: Buffer.alloc(12),
    ciphertext: hash('secret'),
    updated_at: now,
  })
  await insert('snapshots', {
    id: newId('snp'),
    agent_id: agentId,
    namespace_id: namespaceId,
    machine_id: newId('mch'),
    label: `snapshot-${name}`,
    plan: 'vc2-1c-1gb',
    state: 'deleted',
    created_at: now,
    deleted_at: now,
  })
  await insert('machines', {
    id: newId('mch'),
    agent_id: agentId,
    namespace_id: namespaceId,
    generation: 1,
    label: `machine-${name}`,
    operation_id: newId('op'),
    plan: 'vc2-1c-1gb',
    state: 'deleted',
    created_at: now,
    deleted_at: now,
  })
  await insert('machine_transfers', {
    machine_id: newId('mch'),
    month: '2026-12-01',
    agent_id: agentId,
    namespace_id: namespaceId,
    sent_bytes: 1,
    included_bytes: 2,
    polled_at: now,
  })
  await insert('transfer_warnings', { agent_id: agentId, month: '2026-12-01', percent: 80 })
  await insert('agent_logs', {
    machine_id: newId('mch'),
    sequence: 1,
    agent_id: agentId,
    namespace_id: namespaceId,
    at: now,
    stream: 'stdout',
    line: `log of ${name}`,
  })
  await insert('domains', {
    id: newId('dom'),
    namespace_id: namespaceId,
    agent_id: agentId,
    hostname: `${name}.example.com`,
    status: 'failed',
    created_at: now,
    attended_at: now,
    ended_at: now,
  })
  await insert('operations', {
    id: newId('op'),
    kind: 'release',
    subject: `done:${name}`,
    namespace_id: namespaceId,
    state: 'done',
    created_at: now,
    finished_at: now,
  })

  await sql`select ledger_account_of(${id}, ${ledgerAccount}, ${now})`
  const post = (key: string, kind: string, contra: string, micros: bigint) =>
    sql`select ledger_post(${`${key}:${name}`}, ${kind}, ${checkout}, ${ledgerAccount}, ${contra}, ${micros}, ${now})`
  await post('deposit', 'deposit', 'sys_treasury', creditsMicros + 2_000_000n)
  await sql`select ledger_hold(${`hold:${name}`}, ${ledgerAccount}, ${1_000_000n}, 'test', ${now})`
  await sql`select ledger_end_hold(${`hold:${name}`}, ${1_000_000n}, ${now})`
  await post('charge', 'charge', 'sys_revenue', -1_000_000n)
  await insert('meters', {
    ledger_account_id: ledgerAccount,
    subject: agentId,
    namespace_id: namespaceId,
    rate_micros: 10_000,
    from_at: '2026-01-01T00:00:00Z',
    to_at: '2026-01-01T01:00:00Z',
    opened_upto: '2026-01-01T00:00:00Z',
    counted_until: '2026-01-01T01:00:00Z',
  })
  await insert('payments', {
    chain_id: 31337,
    tx_hash: txHash,
    ordinal: 0,
    sender: wallet,
    amount_micros: 2_000_000,
    block_number: 1,
    block_hash: txHash,
    log_index: 0,
    state: 'credited',
    ledger_account_id: ledgerAccount,
    credit_count: 1,
    is_final: true,
    seen_at: now,
  })
  await insert('deposits', {
    id: newId('dep'),
    ledger_account_id: ledgerAccount,
    chain_id: 31337,
    tx_hash: txHash,
    status: 'credited',
    credit_micros: 2_000_000,
    created_at: now,
    sought_since: now,
  })
  await insert('checkouts', {
    id: checkout,
    ledger_account_id: ledgerAccount,
    request_key: name,
    amount_micros: 5_000_000,
    status: 'expired',
    session_id: `cs_${name}`,
    created_at: now,
    expires_at: later,
  })
  await insert('card_mismatches', {
    payment_id: `pi_odd${name}`,
    checkout_id: checkout,
    session_id: `cs_${name}`,
    received_amount: 500,
    currency: 'krw',
    is_live: false,
    seen_at: now,
  })
  await insert('card_refunds', {
    payment_id: `pi_${name}`,
    checkout_id: checkout,
    state: 'refused',
    decided_at: now,
  })
  // Days of the log are made before they begin.
  const [log] = await sql<{ there: string | null }[]>`select to_regclass('request_log')::text as there`
  if (log?.there) {
    await sql`select prepare_request_days(${now}::date, ${now}::date)`
    await insert('request_log', {
      at: now,
      request_id: newId('req'),
      route: 'GET /v1/whoami',
      status: 200,
      duration_ms: 1,
      account_id: id,
      credential_id: newId('ses'),
      network_hash: hash('network'),
    })
  }
  return {
    id,
    namespaceId,
    namespace: name,
    agentId,
    wallet,
    phoneHmac,
    ledgerAccount,
    payment: { chainId: 31337, txHash, ordinal: 0 },
    label,
    sha256,
    marks: [id, namespaceId, agentId, releaseId, wallet, phoneHmac.toString('hex'), checkout],
  }
}

/** Tables of every schema in which a text stands, and how often. */
export async function tablesWith(sql: Pool, text: string): Promise<Record<string, number>> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', table_schema, table_name) as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1`
  const found: Record<string, number> = {}
  for (const { name } of tables) {
    const [row] = await sql.unsafe<{ count: number }[]>(
      `select count(*)::int as count from ${name} t where t::text like '%' || $1 || '%'`,
      [text],
    )
    if (row && row.count > 0) found[name] = row.count
  }
  return found
}
