import type { Deps } from '../deps.ts'
import { requireRecentLogin } from '../identity/access.ts'
import type { Caller } from '../platform/http.ts'
import {
  camel,
  type ExportedTable,
  findLedgerAccountOf,
  listExportedTables,
  readExportedPage,
} from './export-store.ts'

export const EXPORT_FORMAT = 'agentctl.account.1'
/** Rows that are in memory at a time, however much is held. */
const PAGE = 1000

/**
 * Policy 7a: everything that is held about an account, as one JSON document. What belongs in it say the comments of the
 * columns; of secrets it tells that they exist. Read page by page, each in a transaction of its own, while it is sent.
 */
export async function exportAccount(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
): Promise<AsyncIterable<string>> {
  const now = clock.now()
  requireRecentLogin(caller, now)
  const { accountId } = caller
  const as = { account: accountId }
  const { tables, ledgerAccountId } = await db.as(as, async (tx) => ({
    tables: await listExportedTables(tx),
    ledgerAccountId: await findLedgerAccountOf(tx, accountId),
  }))
  const whoseless = tables.find(({ isOwn }) => isOwn === '')
  if (whoseless) throw new Error(`Nobody has said which rows of ${whoseless.name} are of an account.`)
  const whose = { accountId, ledgerAccountId }
  return (async function* () {
    const head = {
      format: EXPORT_FORMAT,
      account: accountId,
      exportedAt: now.toISOString(),
      about: aboutOf(tables),
    }
    yield `${JSON.stringify(head, null, 1).slice(0, -2)},\n "held": {`
    for (const [index, table] of tables.entries()) {
      yield `${index === 0 ? '' : ','}\n  ${JSON.stringify(camel(table.name))}: [`
      let first = true
      let after: string | undefined
      do {
        const { lines, next } = await db.as(as, (tx) => readExportedPage(tx, table, whose, after, PAGE))
        if (lines.length > 0) yield `${first ? '' : ','}\n   ${lines.join(',\n   ')}`
        first = first && lines.length === 0
        after = next
      } while (after !== undefined)
      yield first ? ']' : '\n  ]'
    }
    yield '\n }\n}\n'
  })()
}

/** What each table is, and of each column what it is kept for and for how long. */
function aboutOf(tables: readonly ExportedTable[]): Record<string, object> {
  return Object.fromEntries(
    tables.map(({ name, about, columns }) => [
      camel(name),
      {
        what: about,
        columns: Object.fromEntries(
          columns.map((column) => [
            camel(column.name),
            { class: column.class, purpose: column.purpose, retention: column.retention },
          ]),
        ),
      },
    ]),
  )
}
