import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@agentctl/localcloud/free-port.ts'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { benchCloud } from '../bench/bench-cloud.ts'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'deploy/alerts')
const promtool = (args: string[], input?: string): string =>
  execFileSync('promtool', args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: 'pipe',
    ...(input ? { input } : {}),
  })
const hasPromtool = (() => {
  try {
    promtool(['--version'])
    return true
  } catch {
    process.stdout.write('There is no promtool (Debian: prometheus): rules are not run against series.\n')
    return false
  }
})()

interface Rule {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string; runbook: string }
}
const rules: Rule[] = parse(readFileSync(join(folder, 'agentctl.yaml'), 'utf8')).groups[0].rules
const cases: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[] = parse(
  readFileSync(join(folder, 'agentctl.test.yaml'), 'utf8'),
).tests

describe('alerts', () => {
  test('each says what it is about, whom it wakes, and where the book tells what to do', () => {
    const book = readFileSync(join(root, 'docs/operate.md'), 'utf8')
    const headings = new Set([...book.matchAll(/^#+ (.+)$/gm)].map(([, text = '']) => text))
    for (const { alert, labels, annotations } of rules) {
      expect(['page', 'day'], alert).toContain(labels.severity)
      expect(annotations.summary, alert).toMatch(/\.$/)
      expect(annotations.runbook).toBe(`docs/operate.md#${alert.toLowerCase()}`)
      expect([...headings], 'docs/operate.md').toContain(alert)
    }
  })

  test('each is seen quiet and seen going off', () => {
    const seen = cases.flatMap(({ alert_rule_test }) => alert_rule_test)
    for (const { alert } of rules) {
      const counts = seen.filter(({ alertname }) => alertname === alert).map((one) => one.exp_alerts.length)
      expect(counts, alert).toEqual([0, 1])
    }
  })

  test.runIf(hasPromtool)(
    'the rules hold for series, and a changed threshold does not',
    () => {
      promtool(['test', 'rules', 'agentctl.test.yaml'])
      const copy = mkdtempSync(join(tmpdir(), 'agentctl-alerts-'))
      try {
        const text = readFileSync(join(folder, 'agentctl.yaml'), 'utf8')
        writeFileSync(
          join(copy, 'agentctl.yaml'),
          text.replace('_age_seconds) > 900', '_age_seconds) > 90000'),
        )
        const whole = parse(readFileSync(join(folder, 'agentctl.test.yaml'), 'utf8'))
        const tests = cases.filter((one) => one.alert_rule_test[0]?.alertname === 'MeterStands')
        writeFileSync(join(copy, 't.yaml'), JSON.stringify({ ...whole, tests }))
        expect(() => promtool(['test', 'rules', join(copy, 't.yaml')])).toThrow(/MeterStands/)
        // Debian's promtool is built without what finds pods; the rest of the file is checked with fixed ones.
        const scrape = parse(readFileSync(join(folder, 'prometheus.yaml'), 'utf8'))
        for (const one of scrape.scrape_configs) {
          delete one.kubernetes_sd_configs
          one.static_configs = [{ targets: ['127.0.0.1:9090'] }]
        }
        writeFileSync(join(copy, 'prometheus.yaml'), JSON.stringify(scrape))
        promtool(['check', 'config', join(copy, 'prometheus.yaml')])
      } finally {
        rmSync(copy, { recursive: true })
      }
    },
    120_000,
  )
})

describe('/metrics of a server that plays all roles', async () => {
  const port = await freePort()
  const bench = await benchCloud({ healthPort: port })
  afterAll(() => bench.stop())
  // On a connection of its own: a kept one may be closed at the very moment of its use.
  const get = (url: string): Promise<Response> => fetch(url, { headers: { connection: 'close' } })
  const scrape = async (): Promise<string> => {
    const answer = await get(`http://127.0.0.1:${port}/metrics`)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    return answer.text()
  }
  await get(`${bench.cloud.local.apiUrl}/v1/agents/nobody-${Date.now()}`)
  await get(`${bench.cloud.local.apiUrl}/there-is/no-such-thing`)
  await get(bench.cloud.local.routerUrl)
  const text = await scrape()
  const types = new Map(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  )

  test.runIf(hasPromtool)('Prometheus reads it without a complaint', () => {
    expect(promtool(['check', 'metrics'], text)).toBe('')
  })

  test('every series that an alert or its test names is told', () => {
    const named = [...rules.map(({ expr }) => expr), readFileSync(join(folder, 'agentctl.test.yaml'), 'utf8')]
    const names = new Set(named.flatMap((one) => one.match(/\bagentctl_\w+/g) ?? []))
    expect(names.size).toBeGreaterThan(15)
    for (const name of names) expect([...types.keys()]).toContain(name)
    expect(text).toMatch(/^agentctl_metrics_failed 0$/m)
  })

  test('routes are told as they are declared, the state as it is, and nothing of anybody', async () => {
    expect(text).toContain('agentctl_http_requests_total{route="GET /v1/agents/:agent",status="401"} 1')
    expect(text).toContain('agentctl_http_requests_total{route="none",status="404"} 1')
    expect(text).toMatch(/^agentctl_router_answers_total\{status="4xx"\} 1$/m)
    expect(text).toMatch(/^agentctl_deposits\{status="credited"\} 1$/m)
    expect(text).toMatch(/^agentctl_operations_pending\{kind="purge"\} 1$/m)
    expect(text).toMatch(/^agentctl_ledger_accounts_wrong 0$/m)
    expect(text).not.toMatch(/\b(?:acc|agt|ns|key|ses|mch|dep|dom|op)_[0-9a-z]{20}\b|0x[0-9a-f]{40}|actl_/i)
    expect(text).not.toContain('nobody-')
    // What is asked again adds to series, and makes none.
    const series = (of: string) => of.split('\n').map((line) => line.replace(/ [^ ]*$/, ''))
    for (let at = 0; at < 50; at++) await get(`${bench.cloud.local.apiUrl}/v1/agents/other-${at}`)
    const fresh = series(await scrape()).filter((line) => !series(text).includes(line))
    expect(fresh.filter((line) => line.includes('http_requests'))).toEqual([])
  })

  test('the API tells nothing of it', async () => {
    expect((await get(`${bench.cloud.local.apiUrl}/metrics`)).status).toBe(404)
  })
})
