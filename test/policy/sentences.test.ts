import { PolicyReport } from '@agentctl/contract/policy.ts'
import { createApp } from '@agentctl/server/app.ts'
import { AUDIT_KIND, auditSubject, visitAudit } from '@agentctl/server/billing/audit-operation.ts'
import { secondsAfter } from '@agentctl/server/platform/clock.ts'
import { logLine } from '@agentctl/server/platform/log.ts'
import { type Lease, startOperation } from '@agentctl/server/platform/operations.ts'
import { DAY_SECONDS, type Period, type PeriodName, retention } from '@agentctl/server/platform/retention.ts'
import { ERASURE_KIND } from '@agentctl/server/privacy/erasure-kind.ts'
import type { EvidenceDeps } from '@agentctl/server/privacy/evidence/check.ts'
import { newestText, policiesAt, policyVersions, startOf } from '@agentctl/server/privacy/policy-versions.ts'
import { plant } from '@agentctl/server/privacy/test-rows.ts'
import { checks, verifyPolicy } from '@agentctl/server/privacy/verification.ts'
import { TWILIO_FIELDS } from '@agentctl/server/providers/processors.ts'
import { openTransport } from '@agentctl/server/providers/transport.ts'
import { afterAll, describe, expect, test } from 'vitest'
import { servedApi } from '../../packages/server/test/contract/served-api.ts'

const api = await servedApi()
const { sql } = api
/** The newest text holds, whether its day has come or not. */
const newestDay = startOf(policyVersions.at(-1)?.lastUpdated ?? '')
const now = new Date(Math.max(api.deps.clock.now().getTime(), newestDay.getTime()))
const deps: EvidenceDeps = {
  ...api.deps,
  clock: { now: () => now },
  text: newestText,
  mounted: new Set(api.app.routes.map(({ method, path }) => `${method} ${path}`)),
  ask: async (path) => api.app.request(path),
  logLine,
  cookies: () => [],
}
const later = secondsAfter(now, 5000 * DAY_SECONDS)
const { twilio, stripe } = api.deps.config
const transports: { close(): Promise<void> }[] = []
afterAll(() => Promise.all(transports.map((one) => one.close())))

/** What takes the mechanism away; it answers how to mend it, or what the evidence is measured on instead. */
type Break = () => Promise<{ mend?: () => Promise<unknown>; deps?: Partial<EvidenceDeps> }>

const statements =
  (breaking: string, mending: string): Break =>
  async () => {
    await sql.unsafe(breaking)
    return { mend: () => sql.unsafe(mending) }
  }
const comment = (column: string, said: string): Break => {
  const [table = '', name = ''] = column.split('.')
  return async () => {
    const [row] = await sql<{ before: string }[]>`
      select col_description(attrelid, attnum) as before from pg_attribute
      where attrelid = to_regclass(${table}) and attname = ${name}`
    await sql.unsafe(`comment on column ${column} is '${said}'`)
    return { mend: () => sql.unsafe(`comment on column ${column} is '${row?.before}'`) }
  }
}
/** A row that must not be there, in a copy of the table's rules, which are put back. */
const row =
  (table: string, values: Record<string, unknown>): Break =>
  async () => {
    const rules = await sql<{ name: string; definition: string }[]>`
      select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
      where conrelid = to_regclass(${table}) and contype = 'c'`
    await plant(sql, table, values, now)
    return {
      mend: async () => {
        const [name = '', value] = Object.entries(values)[0] ?? []
        await sql`delete from ${sql(table)} where ${sql(name)} = ${value as string}`
        for (const rule of rules)
          await sql.unsafe(`alter table ${table} add constraint ${rule.name} ${rule.definition}`)
      },
    }
  }
const all =
  (...breaks: Break[]): Break =>
  async () => {
    const made: Awaited<ReturnType<Break>>[] = []
    for (const one of breaks) made.push(await one())
    return {
      mend: async () => {
        for (const { mend } of made.toReversed()) await mend?.()
      },
    }
  }
const written = (text: string): Break =>
  row('operations', { id: 'op_leak', state: 'done', finished_at: now, step_data: { text } })
const instead =
  (other: Partial<EvidenceDeps>): Break =>
  async () => ({ deps: other })
const configured = (config: Partial<EvidenceDeps['config']>): Break =>
  instead({ config: { ...deps.config, ...config } })
const usedFor = (purpose: string): Break =>
  comment('notices.message', `class=notice; purpose=${purpose}; retention=1y; export=yes; erase=delete`)
const without = (route: string): Break =>
  instead({ mounted: new Set([...deps.mounted].filter((one) => one !== route)) })
/** Tells a processor something through a transport without the rule of fields. */
const telling =
  (url: string, body: string, config: Partial<EvidenceDeps['config']> = {}): Break =>
  async () => {
    const transport = openTransport({
      processors: [twilio.baseUrl, stripe?.baseUrl ?? '', url],
      infrastructure: [],
    })
    transports.push(transport)
    await transport.send({ method: 'POST', url: `${url}/v1/anything`, body, timeoutMs: 5000 })
    return { deps: { egress: transport.egress, config: { ...deps.config, ...config } } }
  }
/** Calls a processor by a transport that would tell it anything. */
const unguarded =
  (url: string, config: Partial<EvidenceDeps['config']> = {}): Break =>
  async () => {
    const transport = openTransport({ processors: [url], infrastructure: [] })
    transports.push(transport)
    return { deps: { egress: transport.egress, config: { ...deps.config, ...config } } }
  }
/** What another process, which has it not on its list, has told somebody or may tell them. */
const noted = (processor: string, field: string): Break =>
  row('told_fields', { processor, field, declared: false, told: field !== '*' })
/** A row whose time was over two hours ago, as if nothing had deleted it. */
const overdue = (name: PeriodName, values: Record<string, unknown> = {}): Break => {
  const { table, from, days }: Period = retention[name]
  return row(table, { [from]: secondsAfter(now, -days * DAY_SECONDS - 7200), ...values })
}
const otherHost =
  (url: string): Break =>
  async () => {
    const transport = openTransport({
      processors: [...deps.egress.processors, url],
      infrastructure: [...deps.egress.infrastructure],
    })
    transports.push(transport)
    return { deps: { egress: transport.egress } }
  }
/** Adds up the books as a worker does, and leaves what was found as it does. */
async function auditBooks(): Promise<void> {
  const lease: Lease = { write: api.deps.db.work, settle: async () => {} }
  const outcome = await visitAudit(deps, lease)
  await sql`delete from operations where kind = ${AUDIT_KIND}`
  const { stepData = {} } = outcome.state === 'again' ? outcome : {}
  await startOperation(sql, { kind: AUDIT_KIND, subject: auditSubject, namespaceId: null, stepData, now })
}
/** A balance that the last entry agrees with, and that is not what all of them sum up to. */
const wrongSum: Break = async () => {
  const set = (micros: number) =>
    sql.begin(async (tx) => {
      await tx`set local session_replication_role = replica`
      await tx`update ledger_entries set balance_micros = ${micros} where ledger_account_id = 'lac_sum'`
      await tx`update ledger_balances set balance_micros = ${micros} where ledger_account_id = 'lac_sum'`
    })
  await sql`
    insert into accounts (id, created_at, terms_accepted_at, policy_seen) values ('acc_sum', ${now}, ${now}, ${later})`
  await sql`select ledger_account_of('acc_sum', 'lac_sum', ${now})`
  await sql`select ledger_post('sum', 'deposit', 'dep_1', 'lac_sum', 'sys_treasury', 5, ${now})`
  await set(9)
  await auditBooks()
  return {
    mend: async () => {
      await set(5)
      await auditBooks()
    },
  }
}

const breaks: Readonly<Record<string, Break[]>> = {
  '1': [
    statements('create table careless (phone text)', 'drop table careless'),
    statements(
      `alter table notices add column tone text;
       comment on column notices.tone is 'class=notice; purpose=notify; retention=1y; export=yes; erase=delete'`,
      'alter table notices drop column tone',
    ),
  ],
  '1a': [
    statements(
      `alter table phones add column number text;
       comment on column phones.number is 'class=pii.phone; purpose=authenticate; retention=account; export=no; erase=delete'`,
      'alter table phones drop column number',
    ),
    row('phones', { phone_hmac: Buffer.from('+821055550100') }),
    written('to +821055550100'),
  ],
  '1b': [
    comment(
      'wallets.address',
      'class=pii.wallet; purpose=debug; retention=account; export=yes; erase=delete',
    ),
  ],
  '1c': [
    comment(
      'secrets.ciphertext',
      'class=agent.secret; purpose=provision; retention=account; export=yes; erase=delete',
    ),
  ],
  '1d': [
    statements(
      'grant update on ledger_entries to agentctl_app',
      'revoke update on ledger_entries from agentctl_app',
    ),
    row('ledger_balances', { ledger_account_id: 'lac_wrong', balance_micros: 5 }),
    row('ledger_balances', { ledger_account_id: 'lac_lost', entry_count: 3 }),
    // Nobody adds up.
    row('ledger_balances', { ledger_account_id: 'lac_old', created_at: secondsAfter(now, -3700) }),
    wrongSum,
  ],
  '1e': [
    statements(
      `alter table request_log add column body text;
       comment on column request_log.body is 'class=request; purpose=debug; retention=90d; export=yes; erase=delete'`,
      'alter table request_log drop column body',
    ),
    instead({ logLine: (message, fields) => JSON.stringify({ message, ...fields }) }),
  ],
  '2a': [usedFor('authenticate')],
  '2b': [usedFor('provision')],
  '2c': [usedFor('pay')],
  '2d': [usedFor('abuse')],
  '2e': [usedFor('debug')],
  '2f': [
    statements('revoke select on notices from agentctl_app', 'grant select on notices to agentctl_app'),
    without('GET /v1/notices'),
  ],
  '2g': [
    otherHost('https://analytics.example'),
    instead({ text: newestText.filter(({ title }) => title !== 'Who works for us') }),
    row('told_fields', { processor: 'Analytics', field: 'event', declared: true, told: true }),
  ],
  '2h': [usedFor('marketing')],
  '3a': [
    telling(twilio.baseUrl, 'To=%2B821055550100&FriendlyName=alice'),
    unguarded(twilio.baseUrl),
    noted('Twilio', 'FriendlyName'),
  ],
  '3b': [
    written('paid with 4242424242424242'),
    telling(stripe?.baseUrl ?? '', 'mode=payment&customer_email=alice%40example.com'),
    unguarded(stripe?.baseUrl ?? ''),
    noted('Stripe', 'customer_email'),
  ],
  '3c': [
    telling(stripe?.baseUrl ?? '', '{"hostname":"bot.example.com","account":"acc_1"}', {
      stripe: undefined,
      cloudflare: { baseUrl: stripe?.baseUrl ?? '' } as never,
    }),
    unguarded('https://api.cloudflare.com', {
      cloudflare: { baseUrl: 'https://api.cloudflare.com' } as never,
    }),
    noted('Cloudflare', 'account'),
  ],
  '3d': [
    statements(
      'alter table machines drop constraint machines_region_check',
      `alter table machines add constraint machines_region_check check (region = 'icn')`,
    ),
    row('machines', { id: 'mch_nrt', region: 'nrt', state: 'deleted', deleted_at: now }),
    unguarded(api.deps.config.vultr.baseUrl),
    noted('Vultr', '*'),
    row('operations', { id: 'op_tokyo', kind: 'sweep', state: 'pending', step_data: { elsewhere: 1 } }),
  ],
  '4b': [
    statements(
      'alter table payments drop constraint payments_pkey cascade',
      'alter table payments add primary key (chain_id, tx_hash, ordinal)',
    ),
  ],
  '5a': [statements('alter table notices set unlogged', 'alter table notices set logged')],
  '5b': [configured({ apiUrl: 'http://api.example.com' })],
  '5c': [
    configured({ routerAddresses: ['0.0.0.0/0'] }),
    row('machines', { id: 'mch_public', address: '203.0.113.9', state: 'ready' }),
  ],
  '5d': [
    statements(
      'alter table sessions disable row level security',
      'alter table sessions enable row level security',
    ),
    all(
      statements(
        'create policy leak on accounts to agentctl_app using (true)',
        'drop policy leak on accounts',
      ),
      row('accounts', { id: 'acc_seen', policy_seen: later }),
    ),
  ],
  '5e': [
    written(`actl_k_${'A'.repeat(36)}`),
    row('api_keys', { id: 'key_clear', key_hash: Buffer.from('actl_k_clear'), prefix: 'actl_k_12345678' }),
  ],
  '6a': [row('spend_limits', { account_id: 'acc_gone' })],
  '6b': [
    all(
      row('agents', {
        id: 'agt_late',
        status: 'suspended',
        rest: 'suspended',
        rest_since: now,
        snapshot_delete_at: secondsAfter(now, -7200),
      }),
      row('snapshots', { id: 'snp_late', agent_id: 'agt_late', state: 'complete' }),
    ),
  ],
  '6c': [
    all(
      row('namespaces', { id: 'ns_1', name: 'emptied', owner_account_id: 'acc_x' }),
      row('agents', { id: 'agt_empty', namespace_id: 'ns_1', status: 'suspended', release_id: 'rel_gone' }),
    ),
  ],
  '6d': [
    statements(
      'grant delete on ledger_entries to agentctl_jobs',
      'revoke delete on ledger_entries from agentctl_jobs',
    ),
    row('retained.records', { legal_basis: 'None.', kept_until: secondsAfter(now, -4 * 3600) }),
  ],
  '6e': [
    async () => {
      const day = secondsAfter(now, -89 * DAY_SECONDS)
        .toISOString()
        .slice(0, 10)
      await sql`select prepare_request_days(${day}::date, ${day}::date)`
      return { mend: () => sql`select drop_request_days(${secondsAfter(now, -88 * DAY_SECONDS)})` }
    },
  ],
  '6f': [
    overdue('sessions', { id: 'ses_old', last_used_at: now }),
    overdue('idleSessions', { id: 'ses_idle', expires_at: later }),
  ],
  '6g': [
    overdue('phoneChallenges', { id: 'chl_old' }),
    overdue('walletChallenges', { address: '0x1' }),
    overdue('signups'),
  ],
  '6h': [overdue('loginLimits'), overdue('smsCounts'), overdue('requestCounts')],
  '6i': [
    overdue('idempotencyKeys', { response: {} }),
    overdue('checkoutKeys', { id: 'chk_old', request_key: 'key' }),
  ],
  '6j': [overdue('agentLogs')],
  '6k': [overdue('unusedBlobs')],
  '6l': [
    overdue('machines', { id: 'mch_old', state: 'deleted' }),
    overdue('snapshots', { id: 'snp_old', state: 'deleted' }),
    overdue('boundSpares', { id: 'wrm_old', state: 'bound' }),
    overdue('goneSpares', { id: 'wrm_gone', state: 'deleted' }),
    overdue('transfers'),
    overdue('transferWarnings', { month: new Date('2026-01-01T00:00:00Z') }),
    overdue('sightings'),
    overdue('domains', { id: 'dom_old', status: 'removed', hostname: 'old.example' }),
    overdue('operations', { id: 'op_old', state: 'done' }),
    overdue('cardEvents'),
  ],
  '6m': [
    overdue('notices'),
    overdue('announcements', { effective_at: later }),
    overdue('announcementReads'),
    overdue('noticeDeliveries'),
  ],
  '6n': [overdue('invitations', { id: 'inv_old', role: 'viewer' })],
  '6o': [overdue('operatorActs')],
  '6q': [overdue('bannedProofs')],
  '6r': [row('purges', { name: 'sessions', ran_at: secondsAfter(now, -7200) })],
  '7a': [
    without('GET /v1/account/export'),
    statements(
      "update account_tables set is_own = '' where name = 'notices'",
      "update account_tables set is_own = 'account_id = $1' where name = 'notices'",
    ),
  ],
  '7c': [
    without('POST /v1/account/erasure'),
    statements(
      "update account_tables set is_own = '' where name = 'notices'",
      "update account_tables set is_own = 'account_id = $1' where name = 'notices'",
    ),
    row('operations', {
      id: 'op_erasing',
      kind: ERASURE_KIND,
      state: 'pending',
      created_at: secondsAfter(now, -8 * DAY_SECONDS),
    }),
  ],
  '7b': [without('POST /v1/account/phone')],
  '7d': [without('GET /v1/agents/:agent/export')],
  '7e': [
    overdue('rightsRequests', { id: 'rrq_old', outcome: 'done' }),
    row('rights_requests', { id: 'rrq_late', due_at: secondsAfter(now, -1), answered_at: null }),
  ],
  '8a': [
    async () => {
      const other = createApp(api.deps)
      other.get('/_test/cookie', (c) => c.body(null, 204, { 'set-cookie': 'track=1; Path=/' }))
      await other.request('/_test/cookie')
      const report = PolicyReport.parse(await (await other.request('/v1/policy')).json())
      const found = report.sentences.find(({ id }) => id === '8a')
      expect(found).toMatchObject({ status: 'fail', evidence: { otherCookies: 'track' } })
      return { deps: { cookies: () => ['track'] } }
    },
  ],
  '8b': [
    instead({
      ask: async () => new Response('<p>', { headers: { 'content-security-policy': 'default-src *' } }),
    }),
    instead({
      ask: async () =>
        new Response('<script src="https://analytics.example/x.js">', {
          headers: { 'content-security-policy': "default-src 'self'" },
        }),
    }),
  ],
  '9a': [
    all(
      statements(
        'alter table accounts alter terms_accepted_at drop not null',
        'alter table accounts alter terms_accepted_at set not null',
      ),
      row('accounts', { id: 'acc_young', terms_accepted_at: null }),
    ),
  ],
  '9b': [
    statements(
      'alter table accounts add column birth_date date',
      'alter table accounts drop column birth_date',
    ),
  ],
  '10a': [instead({ text: newestText.slice(1) })],
  '10b': [
    row('accounts', { id: 'acc_unknown', policy_seen: null }),
    // Somebody who has seen an earlier text, and is told of no other.
    row('accounts', { id: 'acc_untold', policy_seen: new Date('2026-11-25T00:00:00Z') }),
  ],
  '12a': [noted('Twilio', 'FriendlyName')],
  '12b': [noted('Stripe', 'customer_email')],
  '12c': [noted('Cloudflare', 'account')],
  '12d': [noted('Vultr', '*')],
  '12e': [otherHost('https://analytics.example')],
  '13': [
    usedFor('abuse'),
    comment('notices.message', 'class=notice; purpose=notify; retention=7d; export=yes; erase=delete'),
    instead({ text: newestText.map((section) => ({ ...section, rows: [] })) }),
  ],
  '11': [
    configured({ privacyContact: 'other@example.com' }),
    configured({ privacyContact: '' }),
    instead({ ask: async () => new Response('<p>Write to privacy@agentctl.dev</p>') }),
  ],
}

const failing = async (on = deps): Promise<string[]> => {
  const report = await verifyPolicy(on)
  return report.sentences.flatMap(({ id, status, evidence }) =>
    status === 'fail' ? [`${id} ${JSON.stringify(evidence)}`] : [],
  )
}

test('on a running server every sentence holds, of the text that holds today as well', async () => {
  expect(await failing()).toEqual([])
  const today = { ...deps, clock: api.deps.clock, text: policiesAt(api.deps.clock.now()).current.text }
  expect(await failing(today)).toEqual([])
})

test('every sentence that can be enforced is broken below', () => {
  const enforced = Object.keys(checks)
  expect(Object.keys(breaks).toSorted()).toEqual(enforced.toSorted())
})

describe('a sentence fails when what keeps it is taken away:', () => {
  for (const { title, sentences } of newestText) {
    for (const { id, text } of sentences) {
      if (!(id in breaks)) continue
      test(`${id} ${text} (${title})`, async () => {
        const check = checks[id]
        if (!check) throw new Error('There is no evidence.')
        for (const broken of breaks[id] ?? []) {
          const { mend, deps: other } = await broken()
          const finding = await check({ ...deps, ...other })
          await mend?.()
          expect(finding.holds, JSON.stringify(finding.evidence)).toBe(false)
          const mended = await check({ ...deps })
          expect(mended.holds, JSON.stringify(mended.evidence)).toBe(true)
        }
      })
    }
  }
})

test('evidence that cannot be measured is no evidence', async () => {
  await sql`alter function evidence_leaks rename to evidence_away`
  const report = await verifyPolicy(deps)
  await sql`alter function evidence_away rename to evidence_leaks`
  const found = report.sentences.find(({ id }) => id === '1a')
  expect(found).toMatchObject({ status: 'fail', evidence: { fault: expect.stringContaining('42883') } })
})

test('the API serves it to whoever asks, and the one who sends codes is told nothing else', async () => {
  const report = PolicyReport.parse(await (await api.app.request('/v1/policy')).json())
  expect(report.sentences.find(({ id }) => id === '6e')).toMatchObject({
    status: 'pass',
    evidence: { days: expect.any(Number) },
  })
  const transport = openTransport({
    processors: [twilio.baseUrl],
    infrastructure: [],
    fields: { [twilio.baseUrl]: TWILIO_FIELDS },
  })
  transports.push(transport)
  const send = (body: string) =>
    transport.send({ method: 'POST', url: `${twilio.baseUrl}/v2/x`, body, timeoutMs: 5000 })
  await send('To=%2B821055550100&Channel=sms')
  await expect(send('To=%2B821055550100&FriendlyName=alice')).rejects.toMatchObject({
    code: 'field_not_allowed',
  })
  expect(transport.egress.told(new URL(twilio.baseUrl).origin)).toEqual(['Channel', 'To'])
  expect(transport.egress.refused()).toBe(1)
})
