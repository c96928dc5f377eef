import { z } from 'zod'
import { AgentConfig, EnvironmentName, ManifestFile, Name, Sha256, sizes } from './agent-config.ts'
import { BLOB_STREAM_MEDIA_TYPE } from './blob-stream.ts'
import { defineEndpoints } from './endpoint.ts'
import { Timings } from './runner.ts'

const Time = z.iso.datetime()
const Micros = z.string().regex(/^-?\d+$/)
const PositiveMicros = z
  .string()
  .regex(/^[1-9]\d{0,17}$/, 'a positive whole number of micro-USD, as a string')

/** A manifest of 20,000 files fits. */
const MANIFEST_BYTES_MAX = 8 * 1024 * 1024

export const AgentStatus = z.enum(['starting', 'running', 'failing', 'stopped', 'suspended', 'deleted'])
export type AgentStatus = z.infer<typeof AgentStatus>

/**
 * pending: recorded, its machine is being made sure of. starting: the machine is fetching, installing or starting it.
 * live: healthy and serving. failed: never became healthy. retired: was live, another one serves now.
 */
export const ReleaseStatus = z.enum(['pending', 'starting', 'live', 'failed', 'retired'])
export type ReleaseStatus = z.infer<typeof ReleaseStatus>

export const Release = z.strictObject({
  id: z.string(),
  agentId: z.string(),
  number: z.int(),
  status: ReleaseStatus,
  /** For pending and starting: what is being done, in words. */
  step: z.string().nullable(),
  /** For failed: which kind, one sentence, and the last lines of its log. */
  failure: z
    .strictObject({ reason: z.string(), message: z.string(), logTail: z.array(z.string()) })
    .nullable(),
  /** Parts of the deploy, in milliseconds; machineMs is the time until a machine was ready for it. */
  timings: Timings.extend({ machineMs: z.number().optional(), totalMs: z.number().optional() }).strict(),
  /** The release that this one repeats, after a rollback or restart. */
  repeats: z.string().nullable(),
  files: z.int(),
  createdAt: Time,
  liveAt: Time.nullable(),
})
export type Release = z.infer<typeof Release>

export const Agent = z.strictObject({
  id: z.string(),
  name: z.string(),
  namespace: z.string(),
  url: z.string(),
  status: AgentStatus,
  /** While its machine is being taken away and its files are copied: what is being done, in words; else null. */
  step: z.string().nullable(),
  size: z.enum(sizes),
  region: z.string(),
  /** The release that serves. */
  release: z.strictObject({ id: z.string(), number: z.int() }).nullable(),
  domains: z.array(z.strictObject({ hostname: z.string(), status: z.string() })),
  /**
   * What it has sent in this calendar month (UTC), as the provider counts it now and then; null before it has counted.
   * `overageMicros` is what the provider asks for what is beyond; it is not charged.
   */
  transfer: z
    .strictObject({
      month: z.string(),
      sentBytes: z.int(),
      includedBytes: z.int(),
      overageMicros: Micros,
    })
    .nullable(),
  /** Null while nothing burns. */
  suspendsAt: Time.nullable(),
  snapshotDeletedAt: Time.nullable(),
})
export type Agent = z.infer<typeof Agent>

export const AGENT_EXPORT_FORMAT = 'agentctl.agent.1'

/** All that makes an agent what it is, so that it can be made again, here or elsewhere. */
export const AgentExport = z.strictObject({
  format: z.literal(AGENT_EXPORT_FORMAT),
  exportedAt: Time,
  name: Name,
  /** Number of the release that this is. */
  release: z.int(),
  config: AgentConfig,
  files: z.array(ManifestFile),
  /** Names of its own that are attached, whether its configuration names them or not. */
  domains: z.array(z.string()),
  /** Names of its secrets; whoever imports it gives the values. */
  secrets: z.array(EnvironmentName),
  maxHourlyMicros: PositiveMicros.nullable(),
  maxTotalMicros: PositiveMicros.nullable(),
})
export type AgentExport = z.infer<typeof AgentExport>

const Price = z.strictObject({ hourlyMicros: Micros })
/** Null values where nothing burns. */
const Balance = z.strictObject({ creditsMicros: Micros, runwaySeconds: z.int().nullable() })

export const DeployRequest = z.strictObject({
  namespace: Name.optional(),
  name: Name,
  config: AgentConfig,
  files: z.array(ManifestFile).min(1).max(20_000),
  /** What this agent may cost an hour, and in all its life; null takes a limit away, absent leaves it as it is. */
  maxHourlyMicros: PositiveMicros.nullable().optional(),
  maxTotalMicros: PositiveMicros.nullable().optional(),
})
export type DeployRequest = z.infer<typeof DeployRequest>

const RefusedName = z.strictObject({
  hostname: z.string(),
  code: z.string(),
  message: z.string(),
  fix: z.string(),
})
export type RefusedName = z.infer<typeof RefusedName>

export const DeployPlan = z.strictObject({
  agent: z.strictObject({
    name: z.string(),
    namespace: z.string(),
    url: z.string().nullable(),
    exists: z.boolean(),
  }),
  /** Sentences, in the order of what would happen. */
  changes: z.array(z.string()),
  /**
   * Names of agent.json to be attached, those of them that would be refused, and names that stay although it does not
   * name them any more.
   */
  domains: z.strictObject({
    attach: z.array(z.string()),
    refused: z.array(RefusedName),
    keep: z.array(z.string()),
  }),
  upload: z.strictObject({ files: z.int(), missing: z.array(Sha256), missingBytes: z.int() }),
  price: Price,
  balance: Balance,
  /** What it costs, and what happens to data, in each state. */
  timeline: z.array(
    z.strictObject({
      state: z.string(),
      /** When it comes to that if nothing else happens from now on; null where somebody has to ask for it. */
      at: Time.nullable(),
      hourlyMicros: Micros,
      consequence: z.string(),
    }),
  ),
})
export type DeployPlan = z.infer<typeof DeployPlan>

export const LogRecord = z.strictObject({
  at: Time,
  stream: z.enum(['stdout', 'stderr', 'platform']),
  release: z.int().nullable(),
  text: z.string(),
})
export type LogRecord = z.infer<typeof LogRecord>

/** `:agent` is an id (agt_…) or a name in the namespace that `?namespace=` names, else in the caller's only or first one. */
const inNamespace = z.strictObject({ namespace: Name.optional() })
const read = { scope: 'agents:read', role: 'viewer' } as const
const write = { scope: 'agents:write', role: 'developer' } as const

const deployRefusals = [
  'deploy_in_progress',
  'agent_limit',
  'insufficient_credits',
  'spend_limit',
  'account_suspended',
  'invalid_config',
] as const

export const agentEndpoints = defineEndpoints({
  'GET /v1/agents': {
    id: 'listAgents',
    summary: 'Agents of a namespace, or of all of yours',
    access: read,
    query: inNamespace,
    response: z.strictObject({ agents: z.array(Agent) }),
  },
  'POST /v1/agents': {
    id: 'createAgent',
    summary: 'Make sure that an agent exists, without deploying (for secrets before the first deploy)',
    access: write,
    status: 201,
    body: z.strictObject({ namespace: Name.optional(), name: Name }),
    response: Agent,
  },
  'GET /v1/agents/:agent': {
    id: 'showAgent',
    summary: 'One agent',
    access: read,
    query: inNamespace,
    response: Agent,
  },
  'DELETE /v1/agents/:agent': {
    id: 'deleteAgent',
    summary: 'Delete an agent, its machine and its data',
    access: write,
    status: 202,
    query: inNamespace,
    response: Agent,
  },
  'POST /v1/agents/:agent/stop': {
    id: 'stopAgent',
    summary: 'Release the machine of an agent; a snapshot keeps its files',
    access: write,
    status: 202,
    query: inNamespace,
    response: Agent,
    problems: ['deploy_in_progress', 'agent_not_running'],
  },
  'POST /v1/agents/:agent/start': {
    id: 'startAgent',
    summary: 'Bring a stopped or suspended agent back with its files, as a release that repeats the last one',
    access: write,
    status: 202,
    query: inNamespace,
    response: Release,
    problems: [
      'deploy_in_progress',
      'agent_not_running',
      'insufficient_credits',
      'spend_limit',
      'account_suspended',
      'agent_limit',
      'invalid_config',
    ],
  },
  'POST /v1/agents/:agent/restart': {
    id: 'restartAgent',
    summary: 'Start the live release afresh, with the secrets of now',
    access: write,
    status: 202,
    query: inNamespace,
    response: Release,
    problems: [
      'deploy_in_progress',
      'agent_not_running',
      'insufficient_credits',
      'spend_limit',
      'account_suspended',
      'agent_limit',
      'invalid_config',
    ],
  },
  'POST /v1/deploys/plan': {
    id: 'planDeploy',
    summary: 'What a deploy would do and cost, without doing it; refused where the deploy would be',
    access: write,
    body: DeployRequest,
    bodyBytesMax: MANIFEST_BYTES_MAX,
    response: DeployPlan,
    problems: deployRefusals,
  },
  'POST /v1/blobs': {
    id: 'uploadBlobs',
    summary: 'Upload the blobs that the plan says are missing, as one stream',
    access: write,
    rawBody: BLOB_STREAM_MEDIA_TYPE,
    query: inNamespace,
    response: z.strictObject({ stored: z.int(), bytes: z.int() }),
  },
  'POST /v1/deploys': {
    id: 'deploy',
    summary: 'Record a release and start deploying it',
    access: write,
    status: 202,
    body: DeployRequest,
    bodyBytesMax: MANIFEST_BYTES_MAX,
    response: z.strictObject({ agent: Agent, release: Release, price: Price, balance: Balance }),
    problems: ['blobs_missing', ...deployRefusals],
    idempotencyKey: true,
  },
  'GET /v1/agents/:agent/releases': {
    id: 'listReleases',
    summary: 'Releases, newest first',
    access: read,
    query: inNamespace,
    response: z.strictObject({ releases: z.array(Release) }),
  },
  'GET /v1/releases/:release': {
    id: 'showRelease',
    summary:
      'One release; with ?waitSeconds= answers when it changes from ?status= and ?step= or the time is up',
    access: read,
    query: z.strictObject({
      waitSeconds: z.coerce.number().int().min(0).max(25).optional(),
      status: ReleaseStatus.optional(),
      step: z.string().optional(),
    }),
    response: Release,
  },
  'POST /v1/agents/:agent/rollback': {
    id: 'rollback',
    summary: 'Deploy an earlier release again: the given number, else the one that was live before',
    access: write,
    status: 202,
    query: inNamespace,
    body: z.strictObject({ number: z.int().positive().optional() }),
    response: Release,
    problems: [
      'nothing_to_roll_back',
      'deploy_in_progress',
      'agent_not_running',
      'insufficient_credits',
      'spend_limit',
      'account_suspended',
      'agent_limit',
      'invalid_config',
    ],
  },
  'GET /v1/agents/:agent/export': {
    id: 'exportAgent',
    summary:
      'Configuration, files, domains and names of secrets of an agent, to make it again; for developers of its namespace',
    access: 'session',
    query: inNamespace,
    response: AgentExport,
    problems: ['reauthentication_required', 'conflict'],
  },
  'POST /v1/agents/:agent/contents': {
    id: 'exportContents',
    summary:
      'Contents of files of the release that is exported, as one stream; for developers of its namespace',
    access: 'session',
    query: inNamespace,
    body: z.strictObject({ sha256s: z.array(Sha256).min(1).max(1000) }),
    bodyBytesMax: 128 * 1024,
    rawResponse: BLOB_STREAM_MEDIA_TYPE,
    problems: ['reauthentication_required', 'conflict'],
  },
  'GET /v1/agents/:agent/logs': {
    id: 'readLogs',
    summary: 'Log lines, one JSON object a line; with ?follow=true the answer stays open',
    access: read,
    query: z.strictObject({
      namespace: Name.optional(),
      since: Time.optional(),
      tail: z.coerce.number().int().min(0).max(10_000).optional(),
      grep: z.string().max(256).optional(),
      follow: z.enum(['true', 'false']).optional(),
    }),
    rawResponse: 'application/x-ndjson',
    responseLine: LogRecord,
  },
  'GET /v1/agents/:agent/secrets': {
    id: 'listSecrets',
    summary: 'Names of secrets, never their values',
    access: read,
    query: inNamespace,
    response: z.strictObject({
      secrets: z.array(z.strictObject({ name: z.string(), version: z.int(), updatedAt: Time })),
    }),
  },
  'PATCH /v1/agents/:agent/secrets': {
    id: 'setSecrets',
    summary:
      'Set secrets (a string) or unset them (null), all or none; the process gets them at its next start',
    access: write,
    query: inNamespace,
    body: z.strictObject({
      secrets: z
        .record(EnvironmentName, z.string().min(1).max(32_768).nullable())
        .refine((secrets) => Object.keys(secrets).length > 0, 'name at least one secret'),
    }),
    bodyBytesMax: 1024 * 1024,
    response: z.strictObject({ set: z.array(z.string()), unset: z.array(z.string()) }),
    problems: ['invalid_config'],
  },
})
