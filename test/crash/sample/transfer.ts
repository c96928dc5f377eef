// A small program for the test of the points: one transaction, one request, one renamed file.
import { rename, writeFile } from 'node:fs/promises'
import { openPool } from '@agentctl/server/platform/db.ts'

const { DATABASE_URL = '', PEER_URL = '', FOLDER = '' } = process.env
const sql = openPool(DATABASE_URL, { connectionsMax: 1 })
await sql.begin(async (tx) => {
  await tx`insert into crash_sample (note) values (${'written'})`
})
await (await fetch(`${PEER_URL}/things/agt_1?secret=1`, { method: 'POST' })).text()
await writeFile(`${FOLDER}/made.part`, '')
await rename(`${FOLDER}/made.part`, `${FOLDER}/made`)
await sql.end()
