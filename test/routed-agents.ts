import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentStatus } from '@agentctl/contract/agents.ts'
import { openPool, type Pool } from '@agentctl/server/platform/db.ts'
import { type Keyring, openKeyring } from '@agentctl/server/platform/keyring.ts'
import { sealRouterCredential } from '@agentctl/server/platform/router-credential.ts'
import { Secret } from '@agentctl/server/platform/secret.ts'
import { afterAll } from 'vitest'
import type { TestDatabase } from './database.ts'

const AT = new Date('2026-01-05T09:00:00Z')

export interface RoutedAgent {
  id: string
  label: string
  machineId: string
}

export interface RoutedAgents {
  keyring: Keyring
  /** As the owner of the tables, past row-level security. */
  sql: Pool
  /** An agent with a label of its own; with a machine when a port is given. */
  add(agent: {
    port?: number
    status?: AgentStatus
    name?: string
    credential?: string
  }): Promise<RoutedAgent>
  setStatus(agent: RoutedAgent, status: AgentStatus): Promise<void>
  movePort(agent: RoutedAgent, port: number): Promise<void>
}

/** Rows as the room of agents writes them, for tests of what stands behind an address. */
export async function routedAgents(database: TestDatabase): Promise<RoutedAgents> {
  const sql = openPool(database.url, { connectionsMax: 2 })
  const keyring = openKeyring(
    join(tmpdir(), `agentctl-test-keyring-${randomBytes(6).toString('hex')}`, 'keys'),
  )
  afterAll(() => sql.end({ timeout: 5 }))
  await sql`insert into accounts (id, created_at, terms_accepted_at) values ('acc_routed', ${AT}, ${AT})`
  await sql`
    insert into namespaces (id, name, owner_account_id, created_at) values ('ns_routed', 'demo', 'acc_routed', ${AT})`
  return {
    keyring,
    sql,
    async add({ port, status = 'running', name = 'hello', credential = 'router-credential' }) {
      const mark = randomBytes(6).toString('hex')
      const agent = { id: `agt_${mark}`, label: `${name}-${mark}`, machineId: `mch_${mark}` }
      await sql`
        insert into agents (id, namespace_id, name, label, size, status, created_at, used_at)
        values (${agent.id}, 'ns_routed', ${agent.label}, ${agent.label}, 'small', ${status}, ${AT}, ${AT})`
      if (port !== undefined) {
        const sealed = sealRouterCredential(keyring, agent.machineId, new Secret(credential))
        await sql`
          insert into machines (id, agent_id, namespace_id, generation, label, operation_id, plan, state, address,
            port, key_id, router_nonce, router_ciphertext, created_at)
          values (${agent.machineId}, ${agent.id}, 'ns_routed', 1, ${agent.machineId}, 'op_x', 'vc2-1c-2gb', 'ready',
            '127.0.0.1', ${port}, ${sealed.keyId}, ${sealed.nonce}, ${sealed.ciphertext}, ${AT})`
      }
      return agent
    },
    async setStatus(agent, status) {
      await sql`update agents set status = ${status} where id = ${agent.id}`
    },
    async movePort(agent, port) {
      await sql`update machines set port = ${port} where id = ${agent.machineId}`
    },
  }
}

export interface FakeRunner {
  port: number
  server: Server
}

/** Stands where the runner of a machine listens. */
export async function fakeRunner(server: Server = createServer()): Promise<FakeRunner> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  afterAll(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, port: typeof address === 'object' && address ? address.port : 0 }
}
