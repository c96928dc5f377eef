import { afterAll, expect, test } from 'vitest'
import { openMetrics } from '../platform/metrics.ts'
import { measuredTransport } from './measured-transport.ts'
import { openTransport } from './transport.ts'

const metrics = openMetrics()
const baseUrl = 'https://a.example'
const transport = measuredTransport(
  openTransport({ processors: [baseUrl], infrastructure: [], fields: { [baseUrl]: ['To'] } }),
  metrics,
)
afterAll(() => transport.close())
const refusals = async () =>
  (await metrics.text())
    .split('\n')
    .filter((line) => /^agentctl_provider_calls_total.*not_allowed"/.test(line))

test('the first call that is refused is a step up from zero, without which its alert would not go off', async () => {
  expect(await refusals()).toEqual([
    'agentctl_provider_calls_total{host="not allowed",outcome="host_not_allowed"} 0',
    'agentctl_provider_calls_total{host="a.example",outcome="field_not_allowed"} 0',
  ])
  for (const url of ['https://b.example/', `${baseUrl}/?email=alice`])
    await expect(transport.send({ method: 'GET', url, timeoutMs: 1000 })).rejects.toThrow()
  expect(await refusals()).toEqual([
    'agentctl_provider_calls_total{host="not allowed",outcome="host_not_allowed"} 1',
    'agentctl_provider_calls_total{host="a.example",outcome="field_not_allowed"} 1',
  ])
})
