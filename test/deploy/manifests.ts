import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

// biome-ignore lint/suspicious/noExplicitAny: what Kubernetes takes is checked by its own definitions, not by types
export type Manifest = any

const folder = join(import.meta.dirname, '../../deploy/k3s')

/** What `kubectl apply -k` would send, with the examples of secrets in the place of secrets. */
export function renderProduction(): string {
  const copy = mkdtempSync(join(tmpdir(), 'agentctl-k3s-'))
  try {
    cpSync(folder, copy, { recursive: true })
    const secrets = join(copy, 'production/secrets')
    for (const name of readdirSync(secrets)) {
      if (name.endsWith('.example')) cpSync(join(secrets, name), join(secrets, name.replace('.example', '')))
    }
    const args = ['kustomize', join(copy, 'production')]
    return execFileSync('kubectl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } finally {
    rmSync(copy, { recursive: true })
  }
}

export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { merge: false }).map((document) => {
    if (document.errors[0]) throw document.errors[0]
    return document.toJS()
  })
}

/** The template of its pods, for whatever makes pods. */
export const podsOf = (manifest: Manifest): Manifest =>
  manifest.kind === 'Deployment' || manifest.kind === 'Job' ? manifest.spec.template : undefined

/** The settings that a container gets, from wherever they come. */
export function environmentOf(manifest: Manifest, all: readonly Manifest[]): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const { configMapRef, secretRef } of podsOf(manifest).spec.containers[0].envFrom ?? []) {
    const kind = configMapRef ? 'ConfigMap' : 'Secret'
    const { name } = configMapRef ?? secretRef
    const source = all.find((other) => other.kind === kind && other.metadata.name === name)
    if (!source) throw new Error(`There is no ${kind} ${name}.`)
    for (const [key, value] of Object.entries<string>(source.data ?? {})) {
      environment[key] = kind === 'Secret' ? Buffer.from(value, 'base64').toString() : value
    }
  }
  return environment
}
