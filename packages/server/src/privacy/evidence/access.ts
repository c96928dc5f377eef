import { isIP } from 'node:net'
import { type Checks, type EvidenceDeps, once } from './check.ts'
import {
  countAccounts,
  countSeen,
  listColumns,
  listConstraints,
  lookAtDatabase,
  lookAtMachines,
  lookAtRoles,
  mayDo,
  sumLeaks,
} from './store.ts'

async function notices({ db, mounted }: EvidenceDeps) {
  const readable = (await mayDo(db.jobs, 'agentctl_app', 'notices', 'select')) === true
  const writable = (await mayDo(db.jobs, 'agentctl_jobs', 'notices', 'insert')) === true
  const asked = mounted.has('GET /v1/notices')
  return {
    holds: readable && writable && asked,
    evidence: { accountsCanReadThem: readable && asked, workCanLeaveThem: writable },
  }
}

async function chainRecords(deps: EvidenceDeps) {
  const { db } = deps
  const rules = await listConstraints(db.jobs, 'payments')
  const isUnique = rules.includes('PRIMARY KEY (chain_id, tx_hash, ordinal)')
  const other = (await once(deps, listColumns)).filter(
    (column) =>
      ['payments', 'deposits'].includes(column.table) && column.purposes.some((purpose) => purpose !== 'pay'),
  )
  return {
    holds: isUnique && other.length === 0,
    evidence: {
      eachPaymentOnce: isUnique,
      usedForOtherThings: other.map(({ table, column }) => `${table}.${column}`).join(', '),
    },
  }
}

async function store(deps: EvidenceDeps) {
  const { config } = deps
  const { version, unlogged, bytes } = await once(deps, lookAtDatabase)
  // Counts of requests within minutes are worth nothing after them.
  const lost = unlogged.filter((table) => table !== 'request_counts')
  return {
    holds: lost.length === 0,
    evidence: {
      postgresql: version,
      databaseBytes: bytes,
      tablesNotDurable: lost.join(', '),
      files: config.blobs ? 'a bucket' : 'a directory of this server',
    },
  }
}

const isHere = (url: string): boolean => {
  const { hostname } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

async function encryption(deps: EvidenceDeps) {
  const { config, egress } = deps
  const { encrypted, local } = await once(deps, lookAtDatabase)
  const urls = [config.apiUrl, ...egress.processors, ...egress.infrastructure]
  const open = urls.filter((url) => !url.startsWith('https:') && !isHere(url)).map((url) => new URL(url).host)
  return {
    holds: (encrypted || local) && open.length === 0,
    evidence: {
      database: encrypted ? 'TLS' : local ? 'on this machine' : 'not encrypted',
      addresses: urls.length,
      notEncrypted: open.join(', '),
    },
  }
}

async function networks(deps: EvidenceDeps) {
  const { config } = deps
  const { machines, inReach } = await once(deps, lookAtMachines)
  const everybody = config.routerAddresses.filter((network) => /\/[0-7]$/.test(network))
  return {
    holds: inReach === 0 && everybody.length === 0 && config.routerAddresses.length > 0,
    evidence: {
      machines,
      machinesAtPublicAddresses: inReach,
      networksThatMachinesLetIn: config.routerAddresses.length,
      tooWide: everybody.join(', '),
    },
  }
}

/** Counters against abuse, under hashes, the moment up to which everybody was charged, and a list of tables. */
const OF_NOBODY = new Set(['login_limits', 'sms_counts', 'meter_watermark', 'account_tables'])

async function roles(deps: EvidenceDeps) {
  const { db } = deps
  const { open, unbound, openToAll, tables } = await once(deps, lookAtRoles)
  const shared = openToAll.filter((table) => !OF_NOBODY.has(table))
  const seen = await db.as({ account: null }, countSeen)
  return {
    holds: open.length === 0 && unbound.length === 0 && shared.length === 0 && seen === 0,
    evidence: {
      tables,
      tablesWithoutRowLevelSecurity: open.join(', '),
      tablesWhoseRowsEverybodySees: shared.join(', '),
      rolesThatItDoesNotBind: unbound.join(', '),
      rowsSeenByNobody: seen,
    },
  }
}

async function keys(deps: EvidenceDeps) {
  const { keys: kept, keysInClear, sessionsInClear } = await once(deps, countAccounts)
  const inClear = (await once(deps, listColumns)).filter(
    (column) => column.class === 'secret.hash' && column.type !== 'bytea',
  )
  const leaks = await once(deps, sumLeaks)
  return {
    holds: keysInClear === 0 && sessionsInClear === 0 && inClear.length === 0 && leaks.tokens === '',
    evidence: {
      keys: kept,
      notHashed: keysInClear + sessionsInClear,
      columnsInClear: inClear.map(({ table, column }) => `${table}.${column}`).join(', '),
      rowsSearched: leaks.rowsSeen,
      keysFound: leaks.tokens,
    },
  }
}

export const accessChecks: Checks = {
  '2f': notices,
  '4b': chainRecords,
  '5a': store,
  '5b': encryption,
  '5c': networks,
  '5d': roles,
  '5e': keys,
}
