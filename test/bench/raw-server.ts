import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { openPool } from '@agentctl/server/platform/db.ts'

// The least that a server with keys does: the hash of what was shown, and one SELECT by an index.
const sql = openPool(process.env.DATABASE_URL ?? '', { connectionsMax: 10 })
const server = createServer(async (request, response) => {
  const bearer = request.headers.authorization?.slice('Bearer '.length) ?? ''
  const hash = createHash('sha256').update(bearer).digest()
  const [key] = await sql`select id, account_id, scopes from api_keys where key_hash = ${hash}`
  response.writeHead(key ? 200 : 401, { 'content-type': 'application/json' })
  response.end(JSON.stringify(key ?? {}))
})
server.listen(Number(process.env.PORT), '127.0.0.1')
