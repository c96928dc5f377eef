import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentFile, sizes } from '@agentctl/contract/agent-config.ts'
import { describe, expect, test } from 'vitest'
import { deploy } from '../commands/deploy.ts'
import { checkAgentFile } from './agent-file.ts'

test('the example of the documentation is valid', async () => {
  const file = {
    $schema: './agent.schema.json',
    name: 'hello',
    namespace: 'demo',
    size: 'small',
    install: 'npm ci --omit=dev',
    start: 'node index.js',
    port: 8080,
    health: { path: '/health', timeoutSeconds: 60 },
    env: { GREETING: 'hi' },
    domains: ['bot.example.com'],
  }
  expect(await checkAgentFile(JSON.stringify(file))).toEqual(file)
})

describe('a broken agent.json names line, column and what was expected', () => {
  test.each([
    ['{\n  "name": "hello"\n  "start": "x"\n}'],
    ['{\n  "port": "8080"\n}'],
    ['{\n  "port": 80\n}'],
    ['{\n  "port": 8080.5\n}'],
    ['{\n  "strat": "node index.js"\n}'],
    ['{\n  "health": { "url": "/" }\n}'],
    ['{\n  "health": { "path": "health" }\n}'],
    ['{\n  "size": "huge"\n}'],
    ['{\n  "name": "Hello World"\n}'],
    ['{\n  "env": { "A": 1 }\n}'],
    ['{\n  "env": { "1A": "x" }\n}'],
    ['{\n  "domains": "bot.example.com"\n}'],
    ['{\n  "domains": ["a.example", 5]\n}'],
    ['{\n  "start": ""\n}'],
    ['[]'],
  ])('%j', async (text) => {
    const failure = await checkAgentFile(text).then(
      () => undefined,
      (error) => error,
    )
    expect(failure).toMatchObject({ code: 'invalid_config' })
    expect(`${failure.message}\n${failure.fix}`).toMatchSnapshot()
  })
})

test('the schema that init writes is the one that is checked by', () => {
  const written = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'agent.schema.json'), 'utf8'))
  expect(written).toEqual(JSON.parse(JSON.stringify(AgentFile.toJSONSchema())))
})

test('the sizes that deploy offers are those of the contract', () => {
  const option = deploy.options.find(({ flags }) => flags.startsWith('--size'))
  expect(option?.choices).toEqual(sizes)
})
