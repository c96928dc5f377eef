import { secondsAfter } from '../../platform/clock.ts'
import { dataMap } from '../data-map.ts'
import { kindRows } from '../documents.ts'
import { type Check, type Checks, type EvidenceDeps, once } from './check.ts'
import {
  type Column,
  countAccounts,
  listColumns,
  lookAtLedger,
  lookAtLedgerAudit,
  mayDo,
  sumLeaks,
} from './store.ts'

/** What there is in the six purposes of section 2, and no seventh. */
const PURPOSES = ['authenticate', 'provision', 'pay', 'abuse', 'debug', 'notify'] as const
type Purpose = (typeof PURPOSES)[number]

/** Classes of data that may be used for a purpose; one that is not named here may not. */
const classesFor: Readonly<Record<Purpose, RegExp>> = {
  authenticate: /^(account\.|pii\.|secret\.|session$|api-key$|login\.challenge$|agent\.metadata$)/,
  provision: /^(agent\.|account\.id$|machine|operation$|schema$|secret\.|catalogue$|erasure$)/,
  pay: /^(billing\.|account\.id$|pii\.wallet$|chain$|agent\.metadata$|request$)/,
  abuse: /^(catalogue$|login\.|chain$|request|operator\.act$|api-key$|account\.(id|standing)$)/,
  debug: /^(agent\.|machine$|request|operation$|account\.id$)/,
  notify: /^(notice$|account\.policy$|rights\.request$|machine$|account\.id$|billing\.limit$)/,
}

const named = (columns: readonly Column[]): string =>
  columns.map(({ table, column }) => `${table}.${column}`).join(', ')

const purpose =
  (name: Purpose): Check =>
  async (deps) => {
    const columns = (await once(deps, listColumns)).filter(({ purposes }) => purposes.includes(name))
    const strange = columns.filter((column) => !classesFor[name].test(column.class))
    return {
      holds: columns.length > 0 && strange.length === 0,
      evidence: { purpose: name, columns: columns.length, columnsOfOtherKinds: named(strange) },
    }
  }

const ofClass = (columns: readonly Column[], prefix: string): Column[] =>
  columns.filter((column) => column.class.startsWith(prefix))

/** Each kind of data with its purposes and periods: what the text says, and what the columns say. */
async function kinds(deps: EvidenceDeps) {
  const said = new Set(deps.text.flatMap(({ rows = [] }) => rows.slice(1)).map((row) => row.join(' | ')))
  const kept = new Set(kindRows(await once(deps, listColumns)).map((row) => row.join(' | ')))
  const unsaid = [...kept].filter((row) => !said.has(row))
  const gone = [...said].filter((row) => !kept.has(row))
  return {
    holds: kept.size > 0 && unsaid.length === 0 && gone.length === 0,
    evidence: { kinds: kept.size, notInTheText: unsaid.join('; '), inTheTextAlone: gone.join('; ') },
  }
}

async function minimum(deps: EvidenceDeps) {
  const columns = await once(deps, listColumns)
  const published = new Set(dataMap.map(({ table, column }) => `${table}.${column}`))
  const unclassified = columns.filter((column) => column.class === '')
  const unpublished = columns.filter(({ table, column }) => !published.has(`${table}.${column}`))
  return {
    holds: unclassified.length === 0 && unpublished.length === 0,
    evidence: {
      columns: columns.length,
      unclassified: named(unclassified),
      notInThePublishedDataMap: named(unpublished),
    },
  }
}

async function phones(deps: EvidenceDeps) {
  const inClear = ofClass(await once(deps, listColumns), 'pii.phone').filter(
    ({ type }) => !type.startsWith('bytea'),
  )
  const { phones: kept, phonesInClear } = await once(deps, countAccounts)
  const leaks = await once(deps, sumLeaks)
  return {
    holds: inClear.length === 0 && phonesInClear === 0 && leaks.phones === '',
    evidence: {
      phones: kept,
      notHashed: phonesInClear,
      columnsInClear: named(inClear),
      rowsSearched: leaks.rowsSeen,
      numbersFound: leaks.phones,
    },
  }
}

async function wallets(deps: EvidenceDeps) {
  const columns = ofClass(await once(deps, listColumns), 'pii.wallet')
  const other = columns.filter(({ purposes }) =>
    purposes.some((one) => one !== 'authenticate' && one !== 'pay'),
  )
  const { wallets: kept } = await once(deps, countAccounts)
  return {
    holds: columns.length > 0 && other.length === 0,
    evidence: { wallets: kept, columns: columns.length, usedForOtherThings: named(other) },
  }
}

async function agentMetadata(deps: EvidenceDeps) {
  const columns = await once(deps, listColumns)
  const secrets = ofClass(columns, 'agent.secret')
  const open = secrets.filter((column) => column.type !== 'bytea' || column.export !== 'no')
  return {
    holds: secrets.length > 0 && open.length === 0,
    evidence: {
      columns: ofClass(columns, 'agent.').length,
      encryptedColumns: secrets.length,
      secretsInClear: named(open),
    },
  }
}

/** The work that adds up the books comes by every ten minutes. */
const AUDIT_TOLERANCE_SECONDS = 3600

async function billingData(deps: EvidenceDeps) {
  const { db } = deps
  const books = ['ledger_transactions', 'ledger_entries', 'ledger_holds', 'ledger_hold_ends']
  const roles = ['agentctl_app', 'agentctl_jobs', 'agentctl_operator']
  const writable: string[] = []
  for (const role of roles) {
    for (const table of books) {
      for (const right of ['update', 'delete', 'truncate']) {
        if (await mayDo(db.jobs, role, table, right)) writable.push(`${role} may ${right} ${table}`)
      }
    }
  }
  const { accounts, wrong } = await once(deps, lookAtLedger)
  const audit = await once(deps, lookAtLedgerAudit)
  const lastAudit = audit.at ?? audit.since
  const isStale = lastAudit !== null && lastAudit < secondsAfter(deps.clock.now(), -AUDIT_TOLERANCE_SECONDS)
  return {
    holds: writable.length === 0 && wrong === 0 && audit.wrong === 0 && !isStale,
    evidence: {
      balancesCompared: accounts,
      balancesWrong: wrong,
      balancesAddedUp: audit.accounts,
      notTheSumOfTheirEntries: audit.wrong,
      lastAddedUp: audit.at?.toISOString() ?? null,
      whoMayChangeTheBooks: writable.join(', '),
    },
  }
}

/** Policy 1e names metadata; these are the fields. */
const REQUEST_FIELDS = new Set(
  'at request_id route status duration_ms account_id credential_id network_hash'.split(' '),
)

/** What somebody may have sent, of nobody: under a name of its own, and under names that a line of the log may have. */
const CONTENTS = {
  body: '{"phone":"+821055500000"}',
  accountId: '+821055500000',
  route: '/v1/agents?code=123456',
  step: '4242424242424242',
  fault: 'actl_k_000000000000000000000000000000000000',
}

async function requestMetadata(deps: EvidenceDeps) {
  const columns = (await once(deps, listColumns)).filter(({ table }) => table === 'request_log')
  const more = columns.filter(({ column }) => !REQUEST_FIELDS.has(column))
  const line = deps.logLine('A line for the evidence', CONTENTS)
  const told = Object.entries(CONTENTS).filter(([, value]) => line.includes(value))
  return {
    holds: columns.length > 0 && more.length === 0 && line !== '' && told.length === 0,
    evidence: {
      fields: columns.map(({ column }) => column).join(', '),
      notMetadata: named(more),
      contentsThatALogLineShows: told.map(([name]) => name).join(', '),
    },
  }
}

async function noMarketing(deps: EvidenceDeps) {
  const columns = await once(deps, listColumns)
  const known = new Set<string>(PURPOSES)
  const other = columns.filter(({ purposes }) => purposes.some((one) => !known.has(one)))
  return {
    holds: columns.length > 0 && other.length === 0,
    evidence: { columns: columns.length, purposes: PURPOSES.join(', '), usedForOtherThings: named(other) },
  }
}

async function noBirthdays(deps: EvidenceDeps) {
  const asked = (await once(deps, listColumns)).filter(({ column }) =>
    /birth|(^|_)(age|dob)($|_)/.test(column),
  )
  return { holds: asked.length === 0, evidence: { columnsAboutAge: named(asked) } }
}

async function adults(deps: EvidenceDeps) {
  const { accounts, withoutTerms } = await once(deps, countAccounts)
  const declared = (await once(deps, listColumns)).some(
    ({ table, column }) => table === 'accounts' && column === 'terms_accepted_at',
  )
  return {
    holds: declared && withoutTerms === 0,
    evidence: { accounts, withoutTheirDeclaration: withoutTerms },
  }
}

export const schemaChecks: Checks = {
  '1': minimum,
  '1a': phones,
  '1b': wallets,
  '1c': agentMetadata,
  '1d': billingData,
  '1e': requestMetadata,
  '2a': purpose('authenticate'),
  '2b': purpose('provision'),
  '2c': purpose('pay'),
  '2d': purpose('abuse'),
  '2e': purpose('debug'),
  '2h': noMarketing,
  '9a': adults,
  '9b': noBirthdays,
  '13': kinds,
}
