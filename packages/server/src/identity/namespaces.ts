import type { Deps } from '../deps.ts'
import { isUniqueViolation } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { newId } from '../platform/ids.ts'
import { Problem } from '../platform/problem.ts'
import { enterNamespace, type Namespace } from './access.ts'
import { lockAccount } from './account-store.ts'
import { insertMember } from './member-store.ts'
import {
  countAgents,
  countOwnNamespaces,
  deleteNamespaceRow,
  emptyNamespace,
  insertNamespace,
  lockNamespace,
  namespacesOf,
  renameNamespaceRow,
} from './namespace-store.ts'

type NamespaceDeps = Pick<Deps, 'db' | 'clock'>

const OWN_NAMESPACES_MAX = 50

export async function listNamespaces({ db }: Pick<Deps, 'db'>, caller: Caller): Promise<Namespace[]> {
  return db.read({ account: caller.accountId }, (sql) =>
    namespacesOf(sql, caller.accountId, caller.namespaceId),
  )
}

export async function createNamespace(
  { db, clock }: NamespaceDeps,
  caller: Caller,
  name: string,
): Promise<Namespace> {
  const now = clock.now()
  const { accountId } = caller
  const namespace = { id: newId('ns'), name, ownerAccountId: accountId, createdAt: now }
  return db.as({ account: accountId }, async (tx) => {
    await lockAccount(tx, accountId)
    if ((await countOwnNamespaces(tx, accountId)) >= OWN_NAMESPACES_MAX) {
      throw new Problem('conflict', `An account has at most ${OWN_NAMESPACES_MAX} namespaces.`, {
        fix: 'Delete one that is not used: agentctl namespaces list',
      })
    }
    if (!(await insertNamespace(tx, namespace))) throw nameTaken(name)
    await insertMember(tx, { namespaceId: namespace.id, accountId, role: 'owner', now })
    return { ...namespace, role: 'owner' }
  })
}

/** The addresses of its agents stay: they are stored, not made of the name. */
export async function renameNamespace(
  { db }: Pick<Deps, 'db'>,
  caller: Caller,
  name: string,
  newName: string,
): Promise<Namespace> {
  try {
    return await db.as({ account: caller.accountId }, async (tx) => {
      const namespace = await enterNamespace(tx, caller, name, 'admin')
      await renameNamespaceRow(tx, namespace.id, newName)
      return { ...namespace, name: newName }
    })
  } catch (error) {
    if (isUniqueViolation(error)) throw nameTaken(newName)
    throw error
  }
}

/** Deletes a namespace without agents, by the account that pays for it, which keeps at least one. */
export async function deleteNamespace({ db }: Pick<Deps, 'db'>, caller: Caller, name: string): Promise<void> {
  const { accountId } = caller
  await db.as({ account: accountId }, async (tx) => {
    const namespace = await enterNamespace(tx, caller, name, 'owner')
    if (namespace.ownerAccountId !== accountId) {
      throw new Problem('forbidden', 'A namespace is deleted by the account that pays for it.', {
        fix: 'Leave it instead: agentctl members remove',
      })
    }
    // Two deletions at once would each see the other's namespace as the one that is kept.
    await lockAccount(tx, accountId)
    await lockNamespace(tx, namespace.id)
    const agents = await countAgents(tx, namespace.id)
    if (agents.live > 0) throw new Problem('namespace_not_empty')
    if ((await countOwnNamespaces(tx, accountId)) <= 1) {
      throw new Problem('conflict', 'This is your only namespace.', {
        fix: 'Make another one first: agentctl namespaces create',
      })
    }
    await emptyNamespace(tx, namespace.id)
    // Addresses of deleted agents are never given to anybody else, and their rows hang on this one: then it stays,
    // without members, and under its id, so that its name is free.
    if (agents.ever === 0) await deleteNamespaceRow(tx, namespace.id)
    else await renameNamespaceRow(tx, namespace.id, namespace.id)
  })
}

function nameTaken(name: string): Problem {
  return new Problem('name_taken', `The name ${name} is taken.`)
}
