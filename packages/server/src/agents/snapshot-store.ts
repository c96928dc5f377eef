import type { Sql } from '../platform/db.ts'

/**
 * intended: its row precedes the order. made: the provider copies. complete: whole. deleting: not to be used any more.
 * deleted: the provider has it no more.
 */
export type SnapshotState = 'intended' | 'made' | 'complete' | 'deleting' | 'deleted'

export interface SnapshotRow {
  id: string
  agentId: string
  namespaceId: string
  machineId: string
  label: string
  providerId: string | null
  plan: string
  state: SnapshotState
}

const snapshotColumns = (sql: Sql) => sql`
  id, agent_id as "agentId", namespace_id as "namespaceId", machine_id as "machineId", label,
  provider_id as "providerId", plan, state`

/** Those of an agent that are not gone. */
export function listSnapshots(sql: Sql, agentId: string): Promise<SnapshotRow[]> {
  return sql<SnapshotRow[]>`
    select ${snapshotColumns(sql)} from snapshots where agent_id = ${agentId} and state <> 'deleted' order by created_at`
}

export async function findSnapshot(sql: Sql, id: string): Promise<SnapshotRow | undefined> {
  const [row] = await sql<SnapshotRow[]>`select ${snapshotColumns(sql)} from snapshots where id = ${id}`
  return row
}

/** The row that precedes the order at the provider. */
export async function insertSnapshot(
  sql: Sql,
  snapshot: Pick<SnapshotRow, 'id' | 'agentId' | 'namespaceId' | 'machineId' | 'label' | 'plan'> & {
    now: Date
  },
): Promise<void> {
  await sql`
    insert into snapshots (id, agent_id, namespace_id, machine_id, label, plan, state, created_at)
    values (${snapshot.id}, ${snapshot.agentId}, ${snapshot.namespaceId}, ${snapshot.machineId}, ${snapshot.label},
      ${snapshot.plan}, 'intended', ${snapshot.now})`
}

export async function setSnapshotMade(sql: Sql, id: string, providerId: string): Promise<void> {
  await sql`update snapshots set state = 'made', provider_id = ${providerId} where id = ${id} and state = 'intended'`
}

export async function setSnapshotComplete(
  sql: Sql,
  id: string,
  { sizeBytes, now }: { sizeBytes: number; now: Date },
): Promise<void> {
  await sql`
    update snapshots set state = 'complete', size_bytes = ${sizeBytes}, completed_at = ${now}
    where id = ${id} and state = 'made'`
}

export async function setSnapshotDeleting(sql: Sql, id: string): Promise<void> {
  await sql`update snapshots set state = 'deleting' where id = ${id} and state <> 'deleted'`
}

export async function setSnapshotDeleted(sql: Sql, id: string, now: Date): Promise<void> {
  await sql`update snapshots set state = 'deleted', deleted_at = ${now} where id = ${id} and state <> 'deleted'`
}
