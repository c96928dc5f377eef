import { expect, test } from 'vitest'
import { SpecCheck } from './spec-check.ts'
import type { Exchange } from './stand-in.ts'
import { vultrSpecCheck } from './vultr/vultr-spec.ts'

const found = vultrSpecCheck()

function exchange(change: Partial<Exchange>): Exchange {
  return {
    method: 'POST',
    path: '/v2/snapshots',
    query: {},
    contentType: 'application/json',
    body: '{"instance_id":"a"}',
    status: 201,
    answerType: 'application/json',
    answer: JSON.stringify({
      snapshot: {
        id: 'a',
        date_created: '',
        description: '',
        size: 1,
        status: 'pending',
        os_id: 1,
        app_id: 0,
      },
    }),
    ...change,
  }
}

test.each<[string, Partial<Exchange>, RegExp | undefined]>([
  ['what the document says', {}, undefined],
  ['a field it does not name', { body: '{"instance_id":"a","instanceid":"b"}' }, /additional properties/],
  ['a missing field', { body: '{}' }, /required property 'instance_id'/],
  ['another type', { body: '{"instance_id":1}' }, /must be string/],
  ['an unknown query parameter', { query: { page: '2' } }, /no query parameter page/],
  ['a state that nobody knows', { answer: exchange({}).answer.replace('pending', 'done') }, /allowed values/],
  [
    'an answer with a field too many',
    { answer: exchange({}).answer.replace('"id"', '"x":1,"id"') },
    /additional/,
  ],
  ['an answer with a field too few', { answer: exchange({}).answer.replace('"size":1,', '') }, /'size'/],
  ['an undocumented status', { status: 200 }, /not documented/],
  ['an unknown operation', { path: '/v2/snapshot' }, /no such operation/],
  ['an error of another shape', { status: 400, answer: '{"message":"no"}' }, /required property 'error'/],
  [
    'an error of another status',
    { status: 400, answer: '{"error":"no","status":404}' },
    /names another status/,
  ],
])('%s', (_, change, expected) => {
  if (!(found instanceof SpecCheck)) return expect(found.missing).toContain('AGENTCTL_SPECS_DIR')
  const said = found.check(exchange(change)).join('\n')
  return expected ? expect(said).toMatch(expected) : expect(said).toBe('')
})
