import { z } from 'zod'

export const sizes = ['nano', 'small', 'medium', 'large'] as const
export type Size = (typeof sizes)[number]

/** A DNS label of lower-case letters, digits and inner hyphens; the name of an agent or a namespace. */
export const Name = z
  .string()
  .min(1)
  .max(32)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'use lower-case letters, digits and inner hyphens, at most 32')

export const EnvironmentName = z
  .string()
  .max(128)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'use letters, digits and underscores, not starting with a digit')

/** Names that the platform itself sets for an agent's process. */
export const reservedEnvironmentNames: ReadonlySet<string> = new Set(['PORT', 'HOME', 'PATH', 'USER'])

const command = z.string().min(1).max(4096)

/** What agent.json may say; everything but `start` has a default found by looking at the folder. */
export const AgentFile = z
  .strictObject({
    $schema: z.string().optional(),
    name: Name.optional().describe('Name of the agent; the folder name unless told.'),
    namespace: Name.optional().describe('Namespace that it belongs to; your default namespace unless told.'),
    size: z.enum(sizes).optional().describe('Size of its machine; small unless told.'),
    install: command
      .optional()
      .describe('Shell command that installs dependencies, run once for each release.'),
    start: command.optional().describe('Shell command that starts the agent; it must listen on $PORT.'),
    port: z
      .int()
      .min(1024)
      .max(65535)
      .optional()
      .describe('Port that $PORT has when it is free on the machine.'),
    health: z
      .strictObject({
        path: z
          .string()
          .startsWith('/')
          .max(1024)
          .optional()
          .describe('Healthy means that this path answers 2xx or 3xx.'),
        timeoutSeconds: z
          .int()
          .min(1)
          .max(600)
          .optional()
          .describe('How long a new release may take; 60 unless told.'),
      })
      .optional(),
    env: z
      .record(EnvironmentName, z.string().max(32_768))
      .optional()
      .describe('Environment of the process; secrets belong into agentctl secrets.'),
    domains: z.array(z.string().min(1).max(253)).max(50).optional().describe('Hostnames of your own.'),
  })
  .describe('Configuration of an agent')
export type AgentFile = z.infer<typeof AgentFile>

/** agent.json with every default filled in: what a release keeps and a machine runs. */
export const AgentConfig = z.strictObject({
  size: z.enum(sizes),
  install: command.nullable(),
  start: command,
  port: z.int().min(1024).max(65535).nullable(),
  health: z.strictObject({
    path: z.string().startsWith('/').max(1024).nullable(),
    timeoutSeconds: z.int().min(1).max(600),
  }),
  env: z.record(EnvironmentName, z.string().max(32_768)),
  domains: z.array(z.string().min(1).max(253)).max(50),
})
export type AgentConfig = z.infer<typeof AgentConfig>

export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** One file of a release. `path` is relative, with forward slashes, and never leaves the folder. */
export const ManifestFile = z.strictObject({
  path: z
    .string()
    .min(1)
    .max(1024)
    .refine(
      (path) =>
        !path.startsWith('/') &&
        !path.includes('\\') &&
        !path.includes('\0') &&
        path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'),
      'must stay inside the folder',
    ),
  sha256: Sha256,
  size: z
    .int()
    .min(0)
    .max(512 * 1024 * 1024),
  executable: z.boolean(),
})
export type ManifestFile = z.infer<typeof ManifestFile>
