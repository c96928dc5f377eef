import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { AgentConfig, AgentFile, Size } from '@agentctl/contract/agent-config.ts'
import { Failure } from '../failure.ts'

/** What a folder says about itself. */
export interface Detected {
  /** In words, for people. */
  kind: string
  install: string | null
  start: string | null
}

const read = (directory: string, name: string): string | undefined => {
  const path = join(directory, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

function detectNode(directory: string): Detected | undefined {
  const text = read(directory, 'package.json')
  if (text === undefined) return undefined
  let manifest: Record<string, unknown>
  try {
    manifest = JSON.parse(text)
  } catch (error) {
    throw new Failure('invalid_config', 'package.json is not valid JSON', {
      fix: 'Correct it.',
      cause: error,
    })
  }
  const { scripts, main, dependencies } = manifest
  const hasDependencies =
    typeof dependencies === 'object' && dependencies !== null && Object.keys(dependencies).length > 0
  const locked = existsSync(join(directory, 'package-lock.json'))
  const install = hasDependencies ? (locked ? 'npm ci --omit=dev' : 'npm install --omit=dev') : null
  const script =
    typeof scripts === 'object' && scripts !== null && 'start' in scripts && typeof scripts.start === 'string'
      ? scripts.start
      : undefined
  const candidates = [main, 'index.js', 'server.js', 'index.mjs', 'src/index.js']
  const entry = candidates.find(
    (file): file is string => typeof file === 'string' && existsSync(join(directory, file)),
  )
  const start = script === undefined ? (entry === undefined ? null : `node ${quote(entry)}`) : 'npm start'
  return { kind: 'Node (package.json)', install, start }
}

/** Whether pyproject.toml names dependencies; enough of TOML for one list. */
const namesDependencies = (pyproject: string): boolean =>
  /^\s*dependencies\s*=\s*\[\s*(?:#.*\n\s*)*["']/m.test(pyproject)

function detectPython(directory: string): Detected | undefined {
  const requirements = read(directory, 'requirements.txt')
  const pyproject = read(directory, 'pyproject.toml')
  const entry = ['main.py', 'app.py'].find((file) => existsSync(join(directory, file)))
  if (requirements === undefined && pyproject === undefined && entry === undefined) return undefined
  const needs = requirements?.split('\n').some((line) => /^\s*[^#\s]/.test(line))
  const what = needs
    ? '-r requirements.txt'
    : requirements === undefined && pyproject !== undefined && namesDependencies(pyproject)
      ? '.'
      : undefined
  const file =
    requirements !== undefined ? 'requirements.txt' : pyproject !== undefined ? 'pyproject.toml' : entry
  return {
    kind: `Python (${file})`,
    install:
      what === undefined
        ? null
        : `python3 -m venv .venv && .venv/bin/pip install --disable-pip-version-check ${what}`,
    start: entry === undefined ? null : `${what === undefined ? 'python3' : '.venv/bin/python'} -u ${entry}`,
  }
}

function detectExecutable(directory: string): Detected | undefined {
  const executables = readdirSync(directory).filter((name) => {
    if (name.startsWith('.')) return false
    try {
      accessSync(join(directory, name), constants.X_OK)
      return statSync(join(directory, name)).isFile() && (statSync(join(directory, name)).mode & 0o111) !== 0
    } catch {
      return false
    }
  })
  const chosen = ['start', 'run', 'start.sh', 'run.sh', 'agent'].find((name) => executables.includes(name))
  const only = chosen ?? (executables.length === 1 ? executables[0] : undefined)
  return only === undefined
    ? undefined
    : { kind: `an executable (${only})`, install: null, start: `./${quote(only)}` }
}

const quote = (word: string): string =>
  /^[\w./@+-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`

export const detect = (directory: string): Detected | undefined =>
  detectNode(directory) ?? detectPython(directory) ?? detectExecutable(directory)

/** The folder's name as a name of an agent, where it can be made one. */
export function nameOfFolder(directory: string): string | undefined {
  const name = basename(resolve(directory))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 32)
    .replace(/^-+|-+$/g, '')
  return name === '' ? undefined : name
}

/** agent.json with every default filled in from what the folder shows. */
export function completeConfig(
  directory: string,
  file: AgentFile,
  size: Size | undefined,
): { name: string; config: AgentConfig; detected: Detected | undefined } {
  const detected = file.start === undefined || file.install === undefined ? detect(directory) : undefined
  const start = file.start ?? detected?.start
  if (!start) {
    const seen = detected ? `It looks like ${detected.kind}, but` : 'In this folder'
    throw new Failure('invalid_config', `${seen} nothing says how to start the agent`, {
      fix: 'Say it in agent.json: {"start": "node server.js"}; agentctl init writes one.',
      next: ['agentctl init'],
    })
  }
  const name = file.name ?? nameOfFolder(directory)
  if (name === undefined) {
    throw new Failure('invalid_config', 'The name of this folder cannot be the name of an agent', {
      fix: 'Say one in agent.json: {"name": "hello"}',
    })
  }
  return {
    name,
    detected,
    config: {
      size: size ?? file.size ?? 'small',
      // A start command of one's own still needs what the folder's dependencies need.
      install: file.install ?? detected?.install ?? null,
      start,
      port: file.port ?? null,
      health: { path: file.health?.path ?? null, timeoutSeconds: file.health?.timeoutSeconds ?? 60 },
      env: file.env ?? {},
      domains: file.domains ?? [],
    },
  }
}
