import { Ajv, type ValidateFunction } from 'ajv'
import type { Manifest } from './manifests.ts'

// biome-ignore lint/suspicious/noExplicitAny: a JSON schema, walked through as it is
type Schema = any

/** Validates against Kubernetes' own definitions, and takes no field that they do not name. */
export function strictValidator(definitions: Record<string, Schema>): (manifest: Manifest) => string[] {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  ajv.addSchema({ $id: 'kubernetes', definitions: closed(definitions) })
  const kinds = new Map<string, ValidateFunction>()
  for (const [name, definition] of Object.entries(definitions)) {
    for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? []) {
      const validate = ajv.compile({ $ref: `kubernetes#/definitions/${name}` })
      kinds.set(`${group ? `${group}/` : ''}${version} ${kind}`, validate)
    }
  }
  return (manifest) => {
    const called = `${manifest.kind} ${manifest.metadata?.name}`
    const validate = kinds.get(`${manifest.apiVersion} ${manifest.kind}`)
    if (!validate) return [`${called}: there is no such kind as ${manifest.apiVersion} ${manifest.kind}`]
    if (validate(manifest)) return []
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) =>
        `${called}${instancePath} ${message} ${Object.values(params).join(' ')}`,
    )
  }
}

function closed(schema: Schema): Schema {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  // What these accept is wider than the type that they are declared with.
  if (copy.format === 'int-or-string') return { type: ['integer', 'string'] }
  if (copy.type === 'object' && copy.properties && !copy.additionalProperties) {
    copy.additionalProperties = false
  }
  if (copy.description?.startsWith?.('Quantity is')) return { type: ['number', 'string'] }
  return copy
}
