import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentFile } from '@agentctl/contract/agent-config.ts'
import { Failure } from '../failure.ts'
import { nearest } from '../nearest.ts'
import { JsonError, type LocatedJson, type Position, parseLocated } from './json-positions.ts'

const typeOf = (value: unknown): string =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'object'
        ? 'an object'
        : `a ${typeof value}`

const expectedTypes: Record<string, string> = {
  string: 'a string',
  int: 'a whole number',
  number: 'a number',
  object: 'an object',
  record: 'an object',
  array: 'a list',
  boolean: 'true or false',
}

const refuse = (position: Position, message: string, fix?: string): Failure =>
  new Failure('invalid_config', `agent.json line ${position.line}, column ${position.column}: ${message}`, {
    fix: fix ?? 'Correct this line; agent.schema.json, which agentctl init writes, lets an editor check it.',
  })

const valueAt = (root: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null
        ? Object.getOwnPropertyDescriptor(value, step)?.value
        : undefined,
    root,
  )

/** agent.json of a folder, checked; undefined where there is none. */
export async function readAgentFile(directory: string): Promise<AgentFile | undefined> {
  const path = join(directory, 'agent.json')
  if (!existsSync(path)) return undefined
  return checkAgentFile(readFileSync(path, 'utf8'))
}

export async function checkAgentFile(text: string): Promise<AgentFile> {
  let json: LocatedJson
  try {
    json = parseLocated(text)
  } catch (error) {
    if (error instanceof JsonError) throw refuse(error.position, error.message)
    throw error
  }
  // The schema brings its library along; only a folder that has an agent.json pays for it.
  const { AgentFile } = await import('@agentctl/contract/agent-config.ts')
  const parsed = AgentFile.safeParse(json.value, { reportInput: true })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  if (!issue) throw refuse({ line: 1, column: 1 }, 'this is not a configuration of an agent')
  const path = issue.path
  const name = path.length > 0 ? `"${path.join('.')}"` : 'the file'
  const found = valueAt(json.value, path)
  switch (issue.code) {
    case 'unrecognized_keys': {
      const [unknown = ''] = issue.keys
      const known = path.length === 0 ? Object.keys(AgentFile.shape) : ['path', 'timeoutSeconds']
      const meant = nearest(unknown, known)
      throw refuse(
        json.locate([...path, unknown]),
        `there is no setting "${[...path, unknown].join('.')}"`,
        meant === undefined ? `These exist: ${known.join(', ')}` : `Did you mean "${meant}"?`,
      )
    }
    case 'invalid_type':
      throw refuse(
        json.locate(path),
        `${name} has to be ${expectedTypes[issue.expected] ?? issue.expected}, not ${typeof found === 'number' ? found : typeOf(found)}`,
      )
    case 'invalid_value':
      throw refuse(
        json.locate(path),
        `${name} has to be one of ${issue.values.join(', ')}, not ${JSON.stringify(found)}`,
      )
    case 'too_small':
    case 'too_big': {
      const bound = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`
      const what =
        issue.origin === 'string' ? ' characters long' : issue.origin === 'array' ? ' items long' : ''
      throw refuse(json.locate(path), `${name} has to be ${bound}${what}`)
    }
    case 'invalid_key':
      throw refuse(
        json.locate(path),
        `"${String(path.at(-1))}" is not a name: ${issue.issues[0]?.message ?? issue.message}`,
      )
    default:
      throw refuse(json.locate(path), `${name} is not valid: ${issue.message}`)
  }
}
