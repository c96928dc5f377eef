import { expect, test } from 'vitest'
import { z } from 'zod'
import { endpoints } from './api.ts'
import type { Endpoint } from './endpoint.ts'
import { type Answer, openApiDocument } from './openapi.ts'

const document = openApiDocument({ url: 'https://api.example.com', version: '1.2.3' })
const all = Object.entries(endpoints) as [string, Endpoint][]

function operationOf(route: string) {
  const [method = '', path = ''] = route.split(' ')
  const found = document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
  if (!found) throw new Error(`${route} is not in the document.`)
  return found
}

function answerOf(answer: Answer | { $ref: string } | undefined): Answer {
  if (!answer) throw new Error('There is no such answer.')
  if (!('$ref' in answer)) return answer
  const found = document.components.responses[answer.$ref.split('/').at(-1) ?? '']
  if (!found) throw new Error(`${answer.$ref} is nowhere.`)
  return found
}

test('every endpoint is in the document, under an id of its own', () => {
  const ids = all.map(([route, { id }]) => {
    expect(operationOf(route).operationId).toBe(id)
    return id
  })
  expect(new Set(ids).size).toBe(ids.length)
  expect(Object.values(document.paths).flatMap((methods) => Object.keys(methods))).toHaveLength(ids.length)
})

test('every reference leads somewhere, and nothing is there that is not used', () => {
  const references = new Set(JSON.stringify(document).match(/#\/components\/\w+\/[\w.-]+/g) ?? [])
  const there = Object.entries(document.components).flatMap(([kind, entries]) =>
    kind === 'securitySchemes' ? [] : Object.keys(entries).map((name) => `#/components/${kind}/${name}`),
  )
  expect([...references].sort()).toEqual(there.sort())
})

test('a named shape has one form, sent or received', () => {
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    const shape = [...all.flatMap(([, { body, response }]) => [body, response])].find(
      (one) => one && z.globalRegistry.get(one)?.id === name,
    )
    if (!shape) continue
    expect(z.toJSONSchema(shape, { io: 'input' }), name).toEqual(z.toJSONSchema(shape, { io: 'output' }))
    expect(schema).not.toHaveProperty('$defs')
  }
})

test.each(all.filter(([, { body }]) => body))(
  'the example of what is sent to %s is taken',
  (route, { body }) => {
    const example = operationOf(route).requestBody?.content['application/json']?.example
    expect(body?.safeParse(example).error?.issues).toBeUndefined()
  },
)

test.each(all.filter(([, { response }]) => response))(
  'the example of an answer of %s is one',
  (route, endpoint) => {
    const answer = answerOf(operationOf(route).responses[endpoint.status ?? 200])
    const example = answer.content?.['application/json']?.example
    expect(endpoint.response?.safeParse(example).error?.issues).toBeUndefined()
  },
)

test('an endpoint tells who may call it, what it needs and every way to refuse', () => {
  const { parameters, security, responses, ...deploy } = operationOf('POST /v1/deploys')
  expect(deploy).toMatchObject({ 'x-required-scope': 'agents:write', 'x-min-role': 'developer' })
  expect(security).toEqual([{ session: [] }, { key: ['agents:write'] }])
  expect(parameters).toMatchObject([{ name: 'Idempotency-Key', in: 'header', required: true }])
  expect(Object.keys(responses)).toEqual([
    '202',
    '400',
    '401',
    '402',
    '403',
    '404',
    '409',
    '413',
    '415',
    '422',
    '429',
    '500',
    '503',
  ])
  for (const status of [429, 503]) expect(answerOf(responses[status]).headers).toHaveProperty('Retry-After')
  for (const [route] of all) expect(Object.keys(operationOf(route).responses), route).toContain('503')
  expect(operationOf('GET /v1/keys')).toMatchObject({ security: [{ session: [] }, { key: ['keys:manage'] }] })
  expect(operationOf('GET /v1/billing/prices').security).toEqual([])
  expect(
    operationOf('GET /v1/releases/:release').parameters.map(({ name, in: place }) => `${place} ${name}`),
  ).toEqual(['path release', 'query waitSeconds', 'query status', 'query step'])
})
