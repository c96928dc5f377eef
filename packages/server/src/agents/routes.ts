import { BLOB_STREAM_MEDIA_TYPE } from '@agentctl/contract/blob-stream.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import type { Api } from '../platform/http.ts'
import { Problem } from '../platform/problem.ts'
import { lazyWakes } from '../platform/wakes.ts'
import { exportAgent, exportContents } from './agent-export.ts'
import { agentViews, createAgent, deleteAgent, listAgents, showAgent, viewOf } from './agents.ts'
import { deploy } from './deploys.ts'
import { awaitDesired } from './desired.ts'
import { type LogAllowance, readLogs, storeLogs } from './logs.ts'
import { machineBlobs } from './machine-blobs.ts'
import { greetMachine } from './machines.ts'
import { planDeploy, type RefusedNames } from './plan.ts'
import { awaitRelease, listReleases, releaseView, restartAgent, rollBack, startAgent } from './releases.ts'
import { takeReport } from './reports.ts'
import { stopAgent } from './rest.ts'
import { listSecrets, setSecrets } from './secrets.ts'
import { openProgram } from './shared-programs.ts'
import { storeUpload } from './uploads.ts'
import { showUsage } from './usage.ts'

/** `stopping` ends long polls and followed logs, so that the server can stop. Of names the room above this one knows. */
export function agentRoutes(
  api: Api,
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'keyring' | 'blobs' | 'log'>,
  stopping: AbortSignal,
  refusedNames: RefusedNames,
): void {
  const until = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, stopping])
  userRoutes(api, { ...deps, refusedNames }, until)
  machineRoutes(api, deps, until)
}

type Parts = Parameters<typeof agentRoutes>[1]
type Until = (signal: AbortSignal) => AbortSignal

function userRoutes(api: Api, deps: Parts & { refusedNames: RefusedNames }, until: Until): void {
  const releaseWakes = lazyWakes(deps.db, 'releases')
  const logWakes = lazyWakes(deps.db, 'logs')
  const about = ({
    params,
    query,
  }: {
    params: { agent: string }
    query: { namespace?: string | undefined }
  }) => ({
    agent: params.agent,
    namespace: query.namespace,
  })

  api.on('GET /v1/billing/usage', ({ caller, query }) => showUsage(deps, caller.accountId, query))
  api.on('GET /v1/agents', async ({ caller, query, role }) => {
    const agents = await listAgents(deps, caller, query.namespace, asked(role))
    return { agents: await agentViews(deps, agents) }
  })
  api.on('POST /v1/agents', async ({ caller, body, role }) => {
    const wanted = { name: body.name, namespace: body.namespace }
    return viewOf(deps, await createAgent(deps, caller, wanted, asked(role)))
  })
  api.on('GET /v1/agents/:agent', async (request) =>
    viewOf(deps, await showAgent(deps, request.caller, about(request), asked(request.role))),
  )
  api.on('DELETE /v1/agents/:agent', async (request) =>
    viewOf(deps, await deleteAgent(deps, request.caller, about(request), asked(request.role))),
  )
  api.on('POST /v1/agents/:agent/stop', async (request) =>
    viewOf(deps, await stopAgent(deps, request.caller, about(request), asked(request.role))),
  )
  api.on('POST /v1/agents/:agent/start', async (request) =>
    releaseView(await startAgent(deps, request.caller, about(request), asked(request.role))),
  )
  api.on('POST /v1/agents/:agent/restart', async (request) =>
    releaseView(await restartAgent(deps, request.caller, about(request), asked(request.role))),
  )
  api.on('POST /v1/agents/:agent/rollback', async (request) => {
    const wanted = { ...about(request), number: request.body.number }
    return releaseView(await rollBack(deps, request.caller, wanted, asked(request.role)))
  })
  api.on('GET /v1/agents/:agent/releases', async (request) => {
    const releases = await listReleases(deps, request.caller, about(request), asked(request.role))
    return { releases: releases.map(releaseView) }
  })
  api.on('POST /v1/deploys/plan', ({ caller, body, role }) => planDeploy(deps, caller, body, asked(role)))
  api.on('POST /v1/blobs', async ({ caller, query, raw, role }) => {
    if (!raw.body) throw new Problem('invalid_request', `The body must be ${BLOB_STREAM_MEDIA_TYPE}.`)
    return storeUpload(deps, caller, { namespace: query.namespace, body: raw.body }, asked(role))
  })
  api.on('POST /v1/deploys', async ({ caller, body, idempotencyKey = '', role }) =>
    deploy(deps, caller, body, { idempotencyKey, role: asked(role) }),
  )
  api.on('GET /v1/releases/:release', async ({ caller, params, query, role, signal }) => {
    const { waitSeconds = 0, status, step } = query
    const wanted = { release: params.release, waitSeconds, status, step }
    const wakes = await releaseWakes()
    return releaseView(await awaitRelease({ ...deps, wakes }, caller, wanted, asked(role), until(signal)))
  })
  api.on('GET /v1/agents/:agent/export', (request) => exportAgent(deps, request.caller, about(request)))
  api.on('POST /v1/agents/:agent/contents', async (request) => {
    const wanted = { ...about(request), sha256s: request.body.sha256s }
    return streamed(await exportContents(deps, request.caller, wanted), BLOB_STREAM_MEDIA_TYPE)
  })
  api.on('GET /v1/agents/:agent/logs', async (request) => {
    const { since, tail, grep, follow } = request.query
    const wanted = { ...about(request), since, tail, grep, follow: follow === 'true' }
    const wakes = await logWakes()
    const lines = await readLogs(
      { ...deps, wakes },
      request.caller,
      wanted,
      asked(request.role),
      until(request.signal),
    )
    return streamed(lines, 'application/x-ndjson')
  })
  api.on('GET /v1/agents/:agent/secrets', async (request) => ({
    secrets: await listSecrets(deps, request.caller, about(request), asked(request.role)),
  }))
  api.on('PATCH /v1/agents/:agent/secrets', async (request) => {
    const wanted = { ...about(request), secrets: request.body.secrets }
    return setSecrets(deps, request.caller, wanted, asked(request.role))
  })
}

function machineRoutes(api: Api, deps: Parts, until: Until): void {
  const wakes = lazyWakes(deps.db, 'agents')
  const allowance: LogAllowance = { day: 0, used: new Map() }

  api.on('POST /v1/runner/hello', async ({ body, signal }) =>
    greetMachine({ ...deps, wakes: await wakes() }, body, until(signal)),
  )
  api.on('POST /v1/runner/poll', async ({ caller, body, signal }) =>
    awaitDesired({ ...deps, wakes: await wakes() }, caller, body, until(signal)),
  )
  api.on('POST /v1/runner/blobs', async ({ caller, body }) =>
    streamed(await machineBlobs(deps, caller, body.sha256s), BLOB_STREAM_MEDIA_TYPE),
  )
  api.on('POST /v1/runner/reports', async ({ caller, body }) => {
    await takeReport(deps, caller, body)
    return undefined
  })
  api.on('POST /v1/runner/logs', async ({ caller, body }) => {
    await storeLogs({ ...deps, allowance }, caller, body.lines)
    return undefined
  })
  api.on('GET /v1/runner/assets/:sha256', async ({ params }) => {
    const program = await openProgram(deps, params.sha256)
    if (!program) throw new Problem('not_found', 'There is no such program.', { fix: '' })
    return streamed(program.chunks, 'application/octet-stream', {
      'content-length': String(program.bytes),
    })
  })
}

/** The role that the contract asks for; every endpoint of users here has one. */
function asked(role: Role | undefined): Role {
  return role ?? 'owner'
}

function streamed(
  chunks: AsyncIterable<Uint8Array>,
  type: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(ReadableStream.from(chunks), {
    headers: { 'content-type': type, 'cache-control': 'no-store', ...headers },
  })
}
