import { accessChecks } from './access.ts'
import { pageChecks } from './pages.ts'
import { processorChecks } from './processors.ts'
import { retentionChecks } from './retention.ts'
import { schemaChecks } from './schema.ts'

const files = {
  schema: schemaChecks,
  access: accessChecks,
  processors: processorChecks,
  retention: retentionChecks,
  pages: pageChecks,
}

/** Which file of this folder measures a sentence. */
export const evidenceFileOf = (id: string): string =>
  Object.entries(files).find(([, checks]) => id in checks)?.[0] ?? 'nothing'
