import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Platform } from '../many-servers/platform.ts'
import { askAlone } from './alone.ts'
import type { Place } from './where.ts'

export interface Text {
  /** Where exactly, for whoever has to find a leak. */
  name: string
  bytes: Buffer
}

/** Everything that there is after a run, by place, read as it is asked for. */
export function placesOf(
  platform: Platform,
  printed: readonly Text[],
): Record<Place, () => AsyncIterable<Text>> {
  const { cloud, folder, s3 } = platform
  const within = (name: string): string => join(folder, 'cloud', name)
  const postgres = JSON.parse(readFileSync(within('postgres/postgres.json'), 'utf8')).place as string
  const standIn = (name: 'twilio' | 'stripe' | 'vultr' | 'cloudflare') =>
    async function* (): AsyncGenerator<Text> {
      yield { name: `${name}: requests`, bytes: await askAlone(`${cloud.local[name].url}/_local/requests`) }
      yield* filesIn(within(name), (path) => basename(path) === 'state.json')
    }
  return {
    database: () => dumped(platform),
    'database files': () => filesIn(join(postgres, 'data')),
    logs: async function* () {
      yield* filesIn(folder, (path) => path.endsWith('.log'), false)
      yield* filesIn(postgres, (path) => basename(path) === 'log', false)
      yield* filesIn(within('vultr/machines'), (path) => basename(path) === 'console.log')
    },
    files: async function* () {
      yield* filesIn(s3.directory)
      for (const name of readdirSync(folder))
        if (/^(api|worker|router)-\d+$/.test(name)) yield* filesIn(join(folder, name))
    },
    command: async function* () {
      yield* printed
    },
    twilio: standIn('twilio'),
    stripe: standIn('stripe'),
    vultr: standIn('vultr'),
    cloudflare: standIn('cloudflare'),
    chain: () => filesIn(within('chain')),
    machine: () => filesIn(within('vultr/machines'), (path) => basename(path) !== 'console.log'),
    snapshots: () => filesIn(within('vultr/snapshots')),
  }
}

/** Programs that machines are given: known by their hashes, and too large to be looked through. */
const isProgram = (bytes: number): boolean => bytes > 50 * 1024 * 1024

async function* filesIn(
  folder: string,
  wanted: (path: string) => boolean = () => true,
  recursive = true,
): AsyncGenerator<Text> {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || !wanted(path)) continue
    yield { name: `name of ${path}`, bytes: Buffer.from(path.slice(folder.length)) }
    const size = statSync(path, { throwIfNoEntry: false })?.size
    if (size !== undefined && !isProgram(size)) yield { name: path, bytes: readFileSync(path) }
  }
}

/** Every row of every table, past row-level security; bytes are in hexadecimal. */
async function* dumped({ sql }: Platform): AsyncGenerator<Text> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')`
  for (const { name } of tables) {
    const rows = await sql.unsafe<{ row: string }[]>(`select to_jsonb(t)::text as row from ${name} t`)
    yield { name: `table ${name}`, bytes: Buffer.from(rows.map(({ row }) => row).join('\n')) }
  }
}
