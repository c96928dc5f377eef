import { hashOfText, policiesAt, publication } from '../policy-versions.ts'
import type { Check, Checks, EvidenceDeps } from './check.ts'

/** The one cookie that the console may set. */
const SESSION_COOKIE = '__Host-actl'
const PAGES = ['/policy', '/docs']

async function cookies({ cookies: set }: EvidenceDeps) {
  const other = set().filter((name) => name !== SESSION_COOKIE)
  return {
    holds: other.length === 0,
    evidence: { cookiesSet: set().join(', '), otherCookies: other.join(', ') },
  }
}

async function nothingFromElsewhere({ ask }: EvidenceDeps) {
  const loose: string[] = []
  for (const path of PAGES) {
    const page = await ask(path)
    const rules = page.headers.get('content-security-policy') ?? ''
    const loads = /<(?:script|img|iframe|link|video|audio|source)\b|@import|\burl\(/i.test(await page.text())
    if (!page.ok || loads || !/^default-src '(?:self|none)'(?:;|$)/.test(rules) || /https?:|\*/.test(rules))
      loose.push(path)
  }
  return {
    holds: loose.length === 0,
    evidence: { pages: PAGES.join(', '), pagesThatMayLoad: loose.join(', ') },
  }
}

async function version({ text, clock, published = publication }: EvidenceDeps) {
  const hash = hashOfText(text)
  const { current, announced } = policiesAt(clock.now(), published)
  return {
    holds: hash === current.hash,
    evidence: {
      lastUpdated: current.lastUpdated,
      hash,
      hashOfThatDay: current.hash,
      nextTextFrom: announced?.lastUpdated ?? null,
    },
  }
}

/** What people can do for themselves, as far as it takes an endpoint. */
const offered =
  (...routes: string[]): Check =>
  async ({ mounted }) => {
    const missing = routes.filter((route) => !mounted.has(route))
    return {
      holds: missing.length === 0,
      evidence: { endpoints: routes.join(', '), missing: missing.join(', ') },
    }
  }

export const pageChecks: Checks = {
  '7a': offered('GET /v1/account/export'),
  '7b': offered('POST /v1/account/phone', 'POST /v1/account/wallets'),
  '7c': offered('GET /v1/account/erasure-plan', 'POST /v1/account/erasure'),
  '7d': offered('GET /v1/agents/:agent/export'),
  '8a': cookies,
  '8b': nothingFromElsewhere,
  '10a': version,
}
