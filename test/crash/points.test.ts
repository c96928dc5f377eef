import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPool } from '@agentctl/server/platform/db.ts'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { Control, type Point } from './control.ts'

const folder = mkdtempSync(join(tmpdir(), 'agentctl-crash-points-'))
const control = new Control(join(folder, 'control'))
const sql = openPool(inject('postgresUrl'), { connectionsMax: 1 })
let asked = 0
const peer = createServer((_request, response) => {
  asked += 1
  response.end('done')
})

beforeAll(async () => {
  await once(peer.listen(0, '127.0.0.1'), 'listening')
  await sql`create table crash_sample (note text)`
})

afterAll(async () => {
  await sql`drop table crash_sample`
  await sql.end()
  peer.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Effects {
  rows: number
  requests: number
  file: boolean
}

async function run(id: string, target?: Point): Promise<{ signal: string | null; effects: Effects }> {
  await sql`truncate crash_sample`
  asked = 0
  rmSync(join(folder, 'made'), { force: true })
  control.arm({ id, signal: 'SIGKILL', targets: target ? [target] : [] })
  const address = peer.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--import',
      join(import.meta.dirname, 'points.ts'),
      join(import.meta.dirname, 'sample/transfer.ts'),
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        CRASH_POINTS: control.folder,
        CRASH_ROLE: 'sample',
        DATABASE_URL: inject('postgresUrl'),
        PEER_URL: `http://127.0.0.1:${port}`,
        FOLDER: folder,
      },
    },
  )
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  const [counted] = await sql<{ rows: number }[]>`select count(*)::int as rows from crash_sample`
  return {
    signal,
    effects: { rows: counted?.rows ?? -1, requests: asked, file: existsSync(join(folder, 'made')) },
  }
}

test('each call is found at both ends, named without its values, and the process dies exactly there', async () => {
  const recorded = await run('recorded')
  expect(recorded).toEqual({ signal: null, effects: { rows: 1, requests: 1, file: true } })
  const points = control.noted('recorded')
  const table: string[] = []
  for (const [index, target] of points.entries()) {
    const { signal, effects } = await run(`hit-${index}`, target)
    expect(signal).toBe('SIGKILL')
    expect(control.hit(0)?.point).toEqual(target)
    table.push(
      `${target.name.padEnd(80)} rows ${effects.rows} · requests ${effects.requests} · ${effects.file ? 'file' : 'no file'}`,
    )
  }
  expect(table.join('\n')).toMatchInlineSnapshot(`
    "begin › before                                                                   rows 0 · requests 0 · no file
    select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem where a… dgta › before rows 0 · requests 0 · no file
    select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem where a… dgta › after rows 0 · requests 0 · no file
    begin › after                                                                    rows 0 · requests 0 · no file
    insert into crash_sample (note) values (?) › before                              rows 0 · requests 0 · no file
    insert into crash_sample (note) values (?) › after                               rows 0 · requests 0 · no file
    commit of insert into crash_sample (note) values (?) › before                    rows 0 · requests 0 · no file
    commit of insert into crash_sample (note) values (?) › after                     rows 1 · requests 0 · no file
    POST /things/: › before                                                          rows 1 · requests 0 · no file
    POST /things/: › after                                                           rows 1 · requests 1 · no file
    file made › before                                                               rows 1 · requests 1 · no file
    file made › after                                                                rows 1 · requests 1 · file"
  `)
})
