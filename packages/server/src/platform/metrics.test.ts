import { expect, test } from 'vitest'
import { openMetrics } from './metrics.ts'

test('counters, histograms and what is looked at when asked for, in the text format', async () => {
  const metrics = openMetrics()
  const requests = metrics.counter('requests_total', 'Requests.')
  requests({ route: 'GET /a', status: '200' }).add()
  requests({ route: 'GET /a', status: '200' }).add(2)
  requests({ route: 'say "hi"\n\\', status: '500' }).add()
  const seconds = metrics.histogram('seconds', 'Time.', [0.1, 1])({ route: 'GET /a' })
  for (const one of [0.1, 0.5, 3]) seconds.observe(one)
  let machines = 1
  metrics.gauge(() => [
    { name: 'machines', help: 'Machines.', samples: [{ labels: { state: 'ready' }, value: machines }] },
  ])
  metrics.gauge(async () => {
    throw new Error('away')
  })
  machines = 2
  expect(await metrics.text()).toMatchInlineSnapshot(`
    "# HELP requests_total Requests.
    # TYPE requests_total counter
    requests_total{route="GET /a",status="200"} 3
    requests_total{route="say \\"hi\\"\\n\\\\",status="500"} 1
    # HELP seconds Time.
    # TYPE seconds histogram
    seconds_bucket{route="GET /a",le="0.1"} 1
    seconds_bucket{route="GET /a",le="1"} 2
    seconds_bucket{route="GET /a",le="+Inf"} 3
    seconds_sum{route="GET /a"} 3.6
    seconds_count{route="GET /a"} 3
    # HELP machines Machines.
    # TYPE machines gauge
    machines{state="ready"} 2
    # HELP agentctl_metrics_failed Looks at the state of the service that failed in this scrape.
    # TYPE agentctl_metrics_failed gauge
    agentctl_metrics_failed 1
    "
  `)
})

test('labels without an end fall together: memory and series stay bounded whatever a label is made of', async () => {
  const metrics = openMetrics()
  const requests = metrics.counter('requests_total', 'Requests.')
  for (let at = 0; at < 5000; at++) requests({ route: `GET /${at}` }).add()
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('requests_total'))
  expect(lines).toHaveLength(1001)
  expect(lines.at(-1)).toBe('requests_total{series="other"} 4000')
})
