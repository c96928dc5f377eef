import { endpoints } from '@agentctl/contract/api.ts'
import type { Endpoint } from '@agentctl/contract/endpoint.ts'
import { secondsAfter } from '../../platform/clock.ts'
import { DAY_SECONDS } from '../../platform/retention.ts'
import { hashOfText, policiesAt, publication } from '../policy-versions.ts'
import { type Check, type Checks, type EvidenceDeps, once } from './check.ts'
import { type Column, listAccountTables, listColumns, lookAtErasures, lookAtPolicySeen } from './store.ts'

/** The one cookie that the console may set. */
export const SESSION_COOKIE = '__Host-actl'
/** Addresses of what people read in a browser. */
export const pages = Object.entries<Endpoint>(endpoints).flatMap(([route, { rawResponse }]) =>
  rawResponse === 'text/html' ? [route.replace('GET ', '')] : [],
)

async function cookies({ cookies: set }: EvidenceDeps) {
  const other = set().filter((name) => name !== SESSION_COOKIE)
  return {
    holds: other.length === 0,
    evidence: { cookiesSet: set().join(', '), otherCookies: other.join(', ') },
  }
}

async function nothingFromElsewhere({ ask }: EvidenceDeps) {
  const loose: string[] = []
  for (const path of pages) {
    const page = await ask(path)
    const rules = page.headers.get('content-security-policy') ?? ''
    const loads = /<(?:script|img|iframe|link|video|audio|source)\b|@import|\burl\(/i.test(await page.text())
    if (!page.ok || loads || !/^default-src '(?:self|none)'(?:;|$)/.test(rules) || /https?:|\*/.test(rules))
      loose.push(path)
  }
  return {
    holds: loose.length === 0,
    evidence: { pages: pages.join(', '), pagesThatMayLoad: loose.join(', ') },
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

/** Policy 10b: accepted is what somebody could know of; of each account it is known which text that is. */
async function acceptance({ db, clock, published = publication }: EvidenceDeps) {
  const { current, announced } = policiesAt(clock.now(), published)
  const newest = (announced ?? current).lastUpdated
  const { accounts, unknown, earlier, isTold } = await lookAtPolicySeen(db.jobs, newest)
  return {
    holds: unknown === 0 && (earlier === 0 || isTold),
    evidence: {
      accounts,
      whoseTextIsUnknown: unknown,
      newestText: newest,
      sawTheNewest: accounts - unknown - earlier,
      sawAnEarlierOne: earlier,
      theseAreToldTheNewest: isTold,
    },
  }
}

/** Policy 11: whoever reads the page learns whom to write to here. */
async function contact({ ask, config }: EvidenceDeps) {
  const shown =
    config.privacyContact !== '' && (await (await ask('/policy')).text()).includes(config.privacyContact)
  return { holds: shown, evidence: { contact: config.privacyContact, shownOnThePage: shown } }
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

/** Longer than Cloudflare and Vultr can be away without anybody noticing. */
const ERASED_WITHIN_SECONDS = 7 * DAY_SECONDS

/** What the comments of the columns promise can only be kept for tables whose rows are known to be somebody's. */
async function access(deps: EvidenceDeps) {
  const { holds, evidence } = await offered('GET /v1/account/export')(deps)
  const own = new Set(await once(deps, listAccountTables))
  const exported = (await once(deps, listColumns)).filter((column) => column.export === 'yes')
  const unreachable = exported.filter(({ table }) => !own.has(table))
  return {
    holds: holds && exported.length > 0 && unreachable.length === 0,
    evidence: { ...evidence, columnsExported: exported.length, notReached: namesOf(unreachable) },
  }
}

async function erasure(deps: EvidenceDeps) {
  const { holds, evidence } = await offered('GET /v1/account/erasure-plan', 'POST /v1/account/erasure')(deps)
  const own = new Set(await once(deps, listAccountTables))
  const naming = (await once(deps, listColumns)).filter(
    (column) => column.class === 'account.id' && column.erase === 'delete',
  )
  const unreachable = naming.filter(({ table }) => !own.has(table))
  const { underWay, late } = await lookAtErasures(
    deps.db.jobs,
    secondsAfter(deps.clock.now(), -ERASED_WITHIN_SECONDS),
  )
  return {
    holds: holds && naming.length > 0 && unreachable.length === 0 && late === 0,
    evidence: {
      ...evidence,
      columnsThatGoWithTheAccount: naming.length,
      notReached: namesOf(unreachable),
      underWay,
      underWayForOverAWeek: late,
    },
  }
}

const namesOf = (columns: readonly Column[]): string =>
  columns.map(({ table, column }) => `${table}.${column}`).join(', ')

export const pageChecks: Checks = {
  '7a': access,
  '7b': offered('POST /v1/account/phone', 'POST /v1/account/wallets'),
  '7c': erasure,
  '7d': offered('GET /v1/agents/:agent/export'),
  '8a': cookies,
  '8b': nothingFromElsewhere,
  '10a': version,
  '10b': acceptance,
  '11': contact,
}
