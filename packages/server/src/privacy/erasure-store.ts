import type { ErasureReceipt } from '@agentctl/contract/erasure-receipt.ts'
import { PostgresError, type Sql } from '../platform/db.ts'

/** A receipt before it is signed. */
export type ErasureFacts = Omit<ErasureReceipt, 'format' | 'keyId' | 'publicKey' | 'signature'>

export interface ErasureRow {
  id: string
  accountId: string | null
  /** Rows that went when it was asked for, by table; `files` is how many contents there were to delete. */
  closed: Record<string, number>
  requestedAt: Date
  facts: ErasureFacts | null
}

const erasureColumns = (sql: Sql) => sql`
  id, account_id as "accountId", closed, requested_at as "requestedAt", receipt as facts`

export async function findErasure(sql: Sql, id: string): Promise<ErasureRow | undefined> {
  const [row] = await sql<ErasureRow[]>`select ${erasureColumns(sql)} from erasures where id = ${id}`
  return row
}

export async function findErasureByToken(
  sql: Sql,
  id: string,
  tokenHash: Buffer,
): Promise<ErasureRow | undefined> {
  const [row] = await sql<ErasureRow[]>`
    select ${erasureColumns(sql)} from erasures where id = ${id} and token_hash = ${tokenHash}`
  return row
}

/** The id of the erasure of the account: this one, or the one that was first; undefined when there can be none. */
export async function beginErasure(
  tx: Sql,
  wish: { id: string; tokenHash: Buffer; accountId: string; now: Date },
): Promise<string | undefined> {
  const [row] = await tx<{ id: string | null }[]>`
    select begin_erasure(${wish.id}, ${wish.tokenHash}, ${wish.accountId}, ${wish.now}) as id`
  return row?.id ?? undefined
}

export async function isUnderWay(tx: Sql, id: string): Promise<boolean> {
  return (await tx`select 1 from operations where subject = ${id}`).length > 0
}

export async function closeAccount(tx: Sql, erasureId: string): Promise<void> {
  await tx`select close_account(${erasureId})`
}

export interface Erased {
  gone: { table_name: string; is_kept: boolean; count: number }[]
  /** What the ledger account had; above zero it is forfeited. */
  balanceMicros: string
}

export async function eraseAccount(
  tx: Sql,
  { id, legalBasis, until, now }: { id: string; legalBasis: string; until: Date; now: Date },
): Promise<Erased> {
  const [row] = await tx<{ erased: Erased }[]>`
    select erase_account(${id}, ${legalBasis}, ${until}, ${now}) as erased`
  if (!row) throw new Error('The database erased nothing.')
  return row.erased
}

/** The database's word for it that something of the account is at a provider, in the store or on its way. */
export function isStillUnderWay(error: unknown): boolean {
  return error instanceof PostgresError && error.code === 'LG003'
}

/** Policy 6d: what was kept for as long as the law asks. How many records went. */
export async function destroyRetained(tx: Sql, now: Date, limit: number): Promise<number> {
  const [row] = await tx<{ gone: number }[]>`select destroy_retained(${now}, ${limit})::int as gone`
  return row?.gone ?? 0
}

/** A receipt is there for as long as what it says is kept. */
export async function deleteOldReceipts(tx: Sql, now: Date): Promise<void> {
  await tx`delete from erasures where finished_at + interval '5 years' <= ${now}`
}

export async function finishErasure(tx: Sql, id: string, facts: ErasureFacts, now: Date): Promise<void> {
  await tx`
    update erasures set account_id = null, closed = '{}', finished_at = ${now}, receipt = ${tx.json(facts as never)}
    where id = ${id}`
}

/** The classes of data that are in each table. */
export async function listClasses(sql: Sql): Promise<Map<string, string[]>> {
  const rows = await sql<{ table: string; classes: string[] }[]>`
    select c.relname as table,
      array_agg(distinct substring(col_description(c.oid, a.attnum) from 'class=([a-z.-]+)')) as classes
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relname in (select name from account_tables)
    group by c.relname`
  return new Map(rows.map(({ table, classes }) => [table, classes]))
}

/** Hashes of contents that the account still has in the store. */
export async function listBlobsOf(sql: Sql, accountId: string, limit: number): Promise<string[]> {
  const rows = await sql<{ sha256: string }[]>`
    select encode(sha256, 'hex') as sha256 from blobs where account_id = ${accountId} order by sha256 limit ${limit}`
  return rows.map(({ sha256 }) => sha256)
}

export async function deleteBlobRows(tx: Sql, accountId: string, hashes: readonly string[]): Promise<void> {
  await tx`
    delete from blobs where account_id = ${accountId}
      and sha256 in (select decode(hash, 'hex') from unnest(${[...hashes]}::text[]) hash)`
}

export interface OwnedAgent {
  id: string
  namespaceId: string
  isDeleted: boolean
  /** Whether anything of it is still at a provider. */
  isLeft: boolean
}

export function listOwnedAgents(sql: Sql, accountId: string): Promise<OwnedAgent[]> {
  return sql<OwnedAgent[]>`
    select a.id, a.namespace_id as "namespaceId", a.status = 'deleted' as "isDeleted",
      exists (select from machines m where m.agent_id = a.id and m.state <> 'deleted')
        or exists (select from snapshots s where s.agent_id = a.id and s.state <> 'deleted')
        or exists (select from operations o where o.subject = a.id and o.state = 'pending') as "isLeft"
    from agents a join namespaces n on n.id = a.namespace_id where n.owner_account_id = ${accountId} order by a.id`
}
