import type { Sql } from './db.ts'

/** Which keys the rows of this database were made with. */
export async function keysInUse(sql: Sql): Promise<{ sealing: string[]; pepperVersions: number[] }> {
  const [used] = await sql<
    { sealing: string[]; peppers: number[] }[]
  >`select sealing, peppers from keys_in_use()`
  return { sealing: used?.sealing ?? [], pepperVersions: used?.peppers ?? [] }
}
