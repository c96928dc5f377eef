import { AGENT_EXPORT_FORMAT, type AgentExport } from '@agentctl/contract/agents.ts'
import type { Deps } from '../deps.ts'
import { requireRecentLogin } from '../identity/access.ts'
import type { Sql } from '../platform/db.ts'
import type { Caller } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { type AgentWanted, enterAgent } from './agents.ts'
import { listContentsOfRelease } from './blob-store.ts'
import { blobHeader } from './blob-stream.ts'
import { listDomainsOf } from './domain-store.ts'
import { listSecretRows } from './secret-store.ts'
import { type AgentRow, findRelease, listReleaseFiles, listReleaseRows, type ReleaseRow } from './store.ts'

const ROLE = 'developer'

/**
 * Policy 7d: all that makes the agent what it is. Of its secrets the names; their values are told to nobody. It takes a
 * recent login, since whoever found an open session would have everything of the agent at once; an import is a deploy,
 * gives nothing away, and takes none, so that scripts can do it with a key.
 */
export async function exportAgent(
  { db, clock }: Pick<Deps, 'db' | 'clock'>,
  caller: Caller,
  wanted: AgentWanted,
): Promise<AgentExport> {
  const now = clock.now()
  requireRecentLogin(caller, now)
  return db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, ROLE)
    const release = await releaseOf(tx, agent)
    const domains = await listDomainsOf(tx, [agent.id])
    return {
      format: AGENT_EXPORT_FORMAT,
      exportedAt: now.toISOString(),
      name: agent.name,
      release: release.number,
      config: release.config,
      files: await listReleaseFiles(tx, release.id),
      domains: domains.filter(({ status }) => status !== 'failed').map(({ hostname }) => hostname),
      secrets: (await listSecretRows(tx, agent.id)).map(({ name }) => name),
      maxHourlyMicros: agent.maxHourlyMicros === null ? null : String(agent.maxHourlyMicros),
      maxTotalMicros: agent.maxTotalMicros === null ? null : String(agent.maxTotalMicros),
    }
  })
}

/** Streams contents of the release that is exported; nothing else, whatever hash somebody knows. */
export async function exportContents(
  { db, blobs, clock }: Pick<Deps, 'db' | 'blobs' | 'clock'>,
  caller: Caller,
  { sha256s, ...wanted }: AgentWanted & { sha256s: readonly string[] },
): Promise<AsyncIterable<Uint8Array>> {
  requireRecentLogin(caller, clock.now())
  const asked = [...new Set(sha256s)]
  const { account, contents } = await db.as({ account: caller.accountId }, async (tx) => {
    const agent = await enterAgent(tx, caller, wanted, ROLE)
    const release = await releaseOf(tx, agent)
    const hashes = asked.map((sha256) => Buffer.from(sha256, 'hex'))
    return { account: agent.ownerAccountId, contents: await listContentsOfRelease(tx, release.id, hashes) }
  })
  const present = await Promise.all(contents.map(({ sha256 }) => blobs.has(account, sha256)))
  if (contents.length !== asked.length || present.includes(false)) {
    throw new Problem(
      'conflict',
      'Some of these files are not part of the last release, or are kept no longer.',
      {
        fix: 'Export without them: agentctl agents export NAME --no-files',
      },
    )
  }
  return (async function* () {
    for (const { sha256, size } of contents) {
      yield blobHeader(sha256, size)
      yield* blobs.read(account, sha256)
    }
  })()
}

/** The release that serves, or would; else the newest. */
async function releaseOf(tx: Sql, agent: AgentRow): Promise<ReleaseRow> {
  const serving = agent.releaseId === null ? undefined : await findRelease(tx, agent.releaseId)
  const release = serving ?? (await listReleaseRows(tx, agent.id))[0]
  if (!release) {
    throw new Problem('conflict', 'This agent has never been deployed, so there is nothing to export.', {
      fix: 'Deploy it first: agentctl deploy',
    })
  }
  return release
}
