import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { type AgentWanted, enterAgent, noSuchAgent } from './agents.ts'
import { checkEnvironment } from './deploys.ts'
import { lockAgent } from './lifecycle-store.ts'
import { SECRETS_PER_AGENT } from './limits.ts'
import { deleteSecret, listSealedSecrets, listSecretRows, putSecret } from './secret-store.ts'

/** A value moved to another agent, name or version does not open. */
export const secretBoundTo = (agentId: string, name: string, version: number): string =>
  `${agentId}/${name}/${version}`

/** Sets (a string) and unsets (null) all of them or none. The agent's process gets them at its next start. */
export async function setSecrets(
  { db, clock, keyring }: Pick<Deps, 'db' | 'clock' | 'keyring'>,
  caller: Caller,
  wanted: AgentWanted & { secrets: Readonly<Record<string, string | null>> },
  role: Role,
): Promise<{ set: string[]; unset: string[] }> {
  const names = Object.keys(wanted.secrets)
  checkEnvironment(names)
  const now = clock.now()
  return db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    // One writer at a time: the version is sealed together with the value.
    if (!(await lockAgent(tx, agent.id))) throw noSuchAgent()
    const existing = await listSecretRows(tx, agent.id)
    const versions = new Map(existing.map((secret) => [secret.name, secret.version]))
    const set: string[] = []
    const unset: string[] = []
    for (const [name, value] of Object.entries(wanted.secrets)) {
      const version = (versions.get(name) ?? 0) + 1
      if (value === null) {
        await deleteSecret(tx, agent.id, name)
        if (versions.delete(name)) unset.push(name)
        continue
      }
      const sealed = keyring.seal(Buffer.from(value), secretBoundTo(agent.id, name, version))
      await putSecret(tx, { agentId: agent.id, namespaceId: agent.namespaceId, name, version, sealed, now })
      versions.set(name, version)
      set.push(name)
    }
    if (versions.size > SECRETS_PER_AGENT) {
      throw new Problem('invalid_request', `An agent may have ${SECRETS_PER_AGENT} secrets.`)
    }
    return { set, unset }
  })
}

export async function listSecrets(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  wanted: AgentWanted,
  role: Role,
): Promise<{ name: string; version: number; updatedAt: string }[]> {
  const rows = await db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, role)
    return listSecretRows(tx, agent.id)
  })
  return rows.map((row) => ({ ...row, updatedAt: row.updatedAt.toISOString() }))
}

/** The values, for the machine of the agent alone. Throws when a row was tampered with. */
export async function openSecrets(
  sql: Sql,
  keyring: Deps['keyring'],
  agentId: string,
): Promise<Record<string, string>> {
  const rows = await listSealedSecrets(sql, agentId)
  return Object.fromEntries(
    rows.map((row) => [
      row.name,
      keyring.open(row, secretBoundTo(agentId, row.name, row.version)).toString(),
    ]),
  )
}
