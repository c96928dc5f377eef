import { z } from 'zod'
import { AgentConfig, ManifestFile, Sha256 } from './agent-config.ts'
import { BLOB_STREAM_MEDIA_TYPE } from './blob-stream.ts'
import { defineEndpoints } from './endpoint.ts'

export { POLL_SECONDS, ROUTER_CREDENTIAL_HEADER, RUNNER_PORT, RUNNER_PROTOCOL } from './runner-constants.ts'

export const DesiredRelease = z.strictObject({
  id: z.string(),
  number: z.int(),
  config: AgentConfig,
  files: z.array(ManifestFile),
  /** Secrets by name, and what the platform itself sets; over TLS, kept in memory or on tmpfs only. */
  environment: z.record(z.string(), z.string()),
})
export type DesiredRelease = z.infer<typeof DesiredRelease>

export const Hello = z.strictObject({
  bootstrapToken: z.string(),
  protocol: z.int(),
  runnerSha256: Sha256,
})

/** The credential of an agent's machine. */
const MachineCredential = z.strictObject({
  machineId: z.string(),
  /** The machine credential: shown once, bearer of every further request. */
  machineToken: z.string(),
  /** What the router will send in `x-agentctl-router`. */
  routerCredential: z.string(),
  /** Address on which to listen for the router: that of this machine inside the VPC. */
  listenAddress: z.string(),
})

export const HelloAnswer = z.union([
  MachineCredential,
  z.strictObject({
    /** This machine is kept ready for an agent to come: greet again, and the answer comes when there is one. */
    waiting: z.literal(true),
    /** With this token from now on. */
    bootstrapToken: z.string().optional(),
  }),
])

export const Poll = z.strictObject({
  protocol: z.int(),
  runnerSha256: Sha256,
  /** Revision of the desired state that the runner already has; the server answers at once when it has another. */
  revision: z.int(),
  /** Port on which the runner listens for the router. */
  port: z.int().min(0).max(65_535),
  /** Told to forget, it has: nothing of the agent runs any more, and nothing secret is left. */
  emptied: z.literal(true).optional(),
})

export const Desired = z.strictObject({
  revision: z.int(),
  /** What should be running; null for nothing. */
  release: DesiredRelease.nullable(),
  /** The machine is about to be copied and released: end everything, forget what is secret, and say so by a poll. */
  forget: z.literal(true).optional(),
  /** The runner that this machine should have: at another hash it downloads, verifies, renames and restarts itself. */
  runner: z.strictObject({ sha256: Sha256 }),
})
export type Desired = z.infer<typeof Desired>

/** The parts of a deploy on the machine, in milliseconds; those that have not happened are absent. */
export const Timings = z.strictObject({
  fetchMs: z.number().optional(),
  installMs: z.number().optional(),
  startMs: z.number().optional(),
  healthMs: z.number().optional(),
  switchMs: z.number().optional(),
})
export type Timings = z.infer<typeof Timings>

export const Report = z.strictObject({
  releaseId: z.string(),
  /**
   * fetching, installing, starting: on the way. healthy: it serves traffic. failed: it never became healthy and will
   * not be tried again; what ran before goes on. crashed: it was healthy and its process ended; the runner restarts it
   * with back-off and reports healthy again.
   */
  state: z.enum(['fetching', 'installing', 'starting', 'healthy', 'failed', 'crashed']),
  /** For failed: which kind. */
  reason: z
    .enum([
      'fetch_failed',
      'install_failed',
      'start_failed',
      'exited',
      'not_listening',
      'wrong_port',
      'unhealthy',
    ])
    .optional(),
  /** For failed and crashed: one sentence for the user. */
  message: z.string().max(2000).optional(),
  exitCode: z.int().nullable().optional(),
  /** For failed: the last lines of its log. */
  logTail: z.array(z.string().max(4096)).max(50).optional(),
  timings: Timings.optional(),
})
export type Report = z.infer<typeof Report>

export const LogLine = z.strictObject({
  /** Counts up for each machine, so that a batch sent twice is stored once. */
  sequence: z.int(),
  at: z.iso.datetime(),
  stream: z.enum(['stdout', 'stderr', 'platform']),
  releaseId: z.string().nullable(),
  text: z.string().max(16_384),
})
export type LogLine = z.infer<typeof LogLine>

export const runnerEndpoints = defineEndpoints({
  'POST /v1/runner/hello': {
    id: 'runnerHello',
    summary:
      'Exchange the one-time bootstrap token for a machine credential, or wait for an agent (long poll)',
    access: 'public',
    body: Hello,
    response: HelloAnswer,
    problems: ['unauthenticated'],
  },
  'POST /v1/runner/poll': {
    id: 'runnerPoll',
    summary: 'Wait for another desired state (long poll)',
    access: 'machine',
    body: Poll,
    response: Desired,
    problems: ['not_found'],
  },
  'POST /v1/runner/blobs': {
    id: 'runnerBlobs',
    summary: 'Fetch blobs of the desired release as one stream',
    access: 'machine',
    body: z.strictObject({ sha256s: z.array(Sha256).max(5000) }),
    bodyBytesMax: 512 * 1024,
    rawResponse: BLOB_STREAM_MEDIA_TYPE,
    problems: ['not_found'],
  },
  'POST /v1/runner/reports': {
    id: 'runnerReport',
    summary: 'Tell how a release is doing',
    access: 'machine',
    status: 204,
    body: Report,
    bodyBytesMax: 512 * 1024,
    anyCharacters: true,
  },
  'POST /v1/runner/logs': {
    id: 'runnerLogs',
    summary: 'Hand in log lines',
    access: 'machine',
    status: 204,
    body: z.strictObject({ lines: z.array(LogLine).max(1000) }),
    bodyBytesMax: 8 * 1024 * 1024,
    anyCharacters: true,
  },
  'GET /v1/runner/assets/:sha256': {
    id: 'runnerAsset',
    summary: 'A program that machines run (Node, the runner), by its hash',
    access: 'public',
    rawResponse: 'application/octet-stream',
  },
})
