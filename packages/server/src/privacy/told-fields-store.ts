import type { Sql } from '../platform/db.ts'
import type { ToldField } from './told-fields.ts'

export async function putToldFields(sql: Sql, fields: readonly ToldField[], now: Date): Promise<void> {
  await sql`
    insert into told_fields (processor, field, declared, told, seen_at)
    select processor, field, declared, told, ${now}
    from jsonb_to_recordset(${sql.json(fields as never)}) as f (processor text, field text, declared boolean, told boolean)
    -- In one order, so that two processes wait for each other instead of for ever.
    order by processor, field
    on conflict (processor, field) do update
      set declared = excluded.declared, told = told_fields.told or excluded.told, seen_at = excluded.seen_at`
}
