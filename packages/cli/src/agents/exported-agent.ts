import { createHash } from 'node:crypto'
import type { AgentExport } from '@agentctl/contract/agents.ts'
import { BLOB_HEADER_BYTES } from '@agentctl/contract/blob-stream.ts'
import { Failure } from '../failure.ts'

/** An export with the contents of its files, or some of them, in base64 by their hash. */
export interface ExportedAgent extends AgentExport {
  contents: Record<string, string>
}

/** More than this is no document any more; whoever has it keeps its folder. */
export const CONTENTS_BYTES_MAX = 256 * 1024 * 1024

/** Takes a stream of blobs apart; what is not what its hash says is not taken. */
export function contentsIn(stream: Buffer): Record<string, string> {
  const contents: Record<string, string> = {}
  for (let at = 0; at < stream.length; ) {
    const sha256 = stream.subarray(at, at + 32).toString('hex')
    const size = Number(stream.readBigUInt64BE(at + 32))
    const bytes = stream.subarray(at + BLOB_HEADER_BYTES, at + BLOB_HEADER_BYTES + size)
    if (hashOf(bytes) !== sha256) {
      throw new Failure('unavailable', 'A file did not arrive as it was sent', { fix: 'Export it again.' })
    }
    contents[sha256] = bytes.toString('base64')
    at += BLOB_HEADER_BYTES + size
  }
  return contents
}

/** Reads an export that somebody kept. What the service makes of its parts, the service says. */
export function readExportedAgent(text: string): ExportedAgent {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    document = undefined
  }
  if (!isExport(document)) {
    throw new Failure('usage', 'This is no exported agent', {
      fix: 'Make one: agentctl agents export NAME --output FILE',
    })
  }
  const agent = { contents: {}, ...document }
  for (const [sha256, content] of Object.entries(agent.contents)) {
    if (hashOf(Buffer.from(content, 'base64')) !== sha256) {
      throw new Failure('usage', `The content ${sha256.slice(0, 12)}… is not what its hash says`, {
        fix: 'The file was changed; take another copy of it.',
      })
    }
  }
  return agent
}

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

function isExport(value: unknown): value is AgentExport & Partial<ExportedAgent> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'format' in value &&
    value.format === 'agentctl.agent.1' &&
    'name' in value &&
    typeof value.name === 'string' &&
    'config' in value &&
    typeof value.config === 'object' &&
    ['files', 'domains', 'secrets'].every((name) =>
      Array.isArray((value as Record<string, unknown>)[name]),
    ) &&
    (!('contents' in value) ||
      (typeof value.contents === 'object' &&
        value.contents !== null &&
        Object.values(value.contents).every((content) => typeof content === 'string')))
  )
}
