import { notify } from '../identity/notices.ts'
import type { Sql } from '../platform/db.ts'
import type { AgentRow } from './store.ts'

/** The provider has lost a machine and its disk: nobody could see that by themselves, nor why a start is without files. */
export function tellFilesLost(
  tx: Sql,
  { name, ownerAccountId }: Pick<AgentRow, 'name' | 'ownerAccountId'>,
  { next, now }: { next: 'comes back' | 'stays stopped'; now: Date },
): Promise<void> {
  const kept = 'Its configuration, secrets and last release are kept'
  return notify(tx, {
    accountId: ownerAccountId,
    kind: 'files_lost',
    message:
      next === 'comes back'
        ? `The machine of ${name} was lost at our provider, and its files with it. ${kept}: it comes back on another machine, with an empty disk.`
        : `The machine of ${name} was lost at our provider before its files were copied: they are gone. ${kept}: started again, it begins with an empty disk.`,
    next: next === 'comes back' ? `agentctl agents show ${name}` : `agentctl agents start ${name}`,
    now,
  })
}
