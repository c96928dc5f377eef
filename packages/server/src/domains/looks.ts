import type { Domain } from '@agentctl/contract/domains.ts'
import { notify } from '../identity/notices.ts'
import { secondsAfter } from '../platform/clock.ts'
import type { Sql } from '../platform/db.ts'
import type { Outcome } from '../platform/operations.ts'
import type { CustomHostname } from '../providers/dns/cloudflare.ts'
import type { EdgeReport } from '../providers/dns/edge-probe.ts'
import { expired, giveUp } from './endings.ts'
import type { DnsSight } from './findings.ts'
import { shownName } from './hostnames.ts'
import { type Sighting, setSighting } from './lifecycle-store.ts'
import { DOUBT_SECONDS, DOUBTS_MAX, GIVEN_UP_SECONDS, LIVE_LOOK_SECONDS, pauseAfter } from './pace.ts'
import { probeAnswer, probePath } from './records.ts'
import { again, type Visit } from './visit.ts'

type Failure = NonNullable<Domain['failure']>

/** A certificate that was asked for and will not come without being asked for again. */
const CERTIFICATE_ENDED = /_timed_out$|^expired$|^deleted$/
const ACTIVE = new Set(['active', 'active_redeploying'])

/** What there is to see of a domain that the provider has: there, in DNS, and through our own edge. */
export function lookAt(visit: Visit, found: CustomHostname, dns: DnsSight): Promise<Outcome> {
  return visit.domain.status === 'live' ? lookAtLive(visit, found, dns) : lookAtComing(visit, found, dns)
}

/** Goes on waiting for its owner to set DNS right, without asking the provider. */
export function awaitDns(visit: Visit, dns: DnsSight): Promise<Outcome> {
  return wait(visit, wrongWith(dns), {}, visit.memory)
}

/** What is awaited is told to whoever waits, unless it has had its time. */
async function wait(
  visit: Visit,
  step: string,
  seen: Partial<Sighting>,
  memory: Visit['memory'],
): Promise<Outcome> {
  const { deps, domain } = visit
  const now = deps.clock.now()
  if (domain.givenUpAt !== null && now >= domain.givenUpAt) return giveUp(visit, expired({ step }))
  const sighting: Sighting = { ...domain, status: statusNow(domain), step, ...seen }
  await see(visit, sighting)
  return again(pauseAfter(sighting.attendedAt, now), memory)
}

async function lookAtComing(visit: Visit, found: CustomHostname, dns: DnsSight): Promise<Outcome> {
  const { deps, domain, hostnames } = visit
  const now = deps.clock.now()
  const known = {
    certificate: certificateOf(found, domain),
    ownership: found.ownership ?? domain.ownership,
  }
  if (dns.leadsHere !== true) {
    // One that was live once is on its way back; whether it leads here is not known while nobody answers.
    const status = domain.liveAt === null && dns.leadsHere === false ? 'pending' : statusNow(domain)
    return wait(visit, wrongWith(dns), { ...known, status }, { askedAt: now.toISOString() })
  }
  // It has come to lead here since the provider last looked, or what it tried has run out: it is to look now.
  const turned = domain.status === 'pending'
  if (turned || found.status === 'moved' || CERTIFICATE_ENDED.test(found.ssl.status)) {
    await hostnames.restartValidation(found.id)
  }
  const verifying = (step: string): Promise<Outcome> =>
    wait(visit, step, { ...known, status: 'verifying', ...(turned ? { attendedAt: now } : {}) }, {})
  if (!ACTIVE.has(found.status)) {
    return verifying(`Cloudflare has not verified the name yet${saying(found.verificationErrors)}.`)
  }
  if (found.ssl.status !== 'active') {
    const caa = dns.findings.find(({ state }) => state === 'caa_forbids')
    return verifying(
      `Its certificate is not issued yet${caa ? `. ${caa.message}` : `${saying(found.ssl.errors)}.`}`,
    )
  }
  const report = await deps.edgeProbe.probe(domain.hostname, probePath(domain.id))
  const trouble = troubleOf(report, domain.id)
  if (trouble !== undefined) return verifying(trouble)
  await see(
    visit,
    liveSighting(visit, found, report),
    domain.liveAt === null ? undefined : backAgain(visit, now),
  )
  return again(LIVE_LOOK_SECONDS, {})
}

function liveSighting({ deps, domain }: Visit, found: CustomHostname, report: EdgeReport): Sighting {
  return {
    status: 'live',
    step: null,
    failure: null,
    certificate: withProbe(certificateOf(found, domain), report),
    ownership: found.ownership ?? domain.ownership,
    attendedAt: domain.attendedAt,
    liveAt: domain.liveAt ?? deps.clock.now(),
    givenUpAt: null,
  }
}

/** Still led here and answered by us; what is found wanting once may be a slip, and is looked at again before it counts. */
async function lookAtLive(visit: Visit, found: CustomHostname, dns: DnsSight): Promise<Outcome> {
  const { deps, domain, memory, lease } = visit
  const report = await deps.edgeProbe.probe(domain.hostname, probePath(domain.id))
  const trouble = troubleOf(report, domain.id)
  const failure: Failure | undefined =
    dns.leadsHere === false
      ? { reason: 'dns_moved', message: wrongWith(dns) }
      : trouble === undefined
        ? undefined
        : { reason: 'not_served', message: trouble }
  // Nobody is told that their domain is lost because our own edge or routers are away.
  if (failure?.reason === 'not_served' && isOurs(found, report)) return again(DOUBT_SECONDS, memory)
  if (!failure) {
    await see(visit, liveSighting(visit, found, report))
    return again(dns.leadsHere === 'unknown' ? DOUBT_SECONDS : LIVE_LOOK_SECONDS, {})
  }
  const doubts = (memory.doubts ?? 0) + 1
  if (doubts < DOUBTS_MAX) return again(DOUBT_SECONDS, { doubts })
  await lease.write((tx) => lose(tx, visit, failure))
  return again(0, {})
}

/** A live one is not served, or not by us, any more. The router goes on answering for it while it is given time. */
export async function lose(tx: Sql, { deps, domain }: Visit, failure: Failure): Promise<void> {
  const now = deps.clock.now()
  await setSighting(
    tx,
    domain.id,
    {
      ...domain,
      status: 'verifying',
      step: failure.message,
      failure,
      attendedAt: now,
      givenUpAt: secondsAfter(now, GIVEN_UP_SECONDS),
    },
    now,
  )
  await notify(tx, {
    accountId: domain.ownerAccountId,
    kind: 'domain_lost',
    message: `The domain ${shownName(domain.hostname)} of ${domain.agentName} is not live any more. ${failure.message} It is given up in seven days.`,
    next: `agentctl domains check ${domain.hostname}`,
    now,
  })
}

function see(
  { deps, lease, domain }: Visit,
  seen: Sighting,
  also?: (tx: Sql) => Promise<void>,
): Promise<void> {
  return lease.write(async (tx) => {
    await setSighting(tx, domain.id, seen, deps.clock.now())
    await also?.(tx)
  })
}

function backAgain({ domain }: Visit, now: Date): (tx: Sql) => Promise<void> {
  return (tx) =>
    notify(tx, {
      accountId: domain.ownerAccountId,
      kind: 'domain_back',
      message: `The domain ${shownName(domain.hostname)} of ${domain.agentName} is live again.`,
      next: null,
      now,
    })
}

function statusNow({ status }: Visit['domain']): Sighting['status'] {
  return status === 'pending' ? 'pending' : 'verifying'
}

function wrongWith({ findings }: DnsSight): string {
  return findings.find(({ state }) => state !== 'right')?.message ?? 'Its DNS does not lead here.'
}

/** What our router answers at this path under this name and nowhere else shows that visitors come to us. */
function troubleOf(report: EdgeReport, domainId: string): string | undefined {
  if (!report.served) return report.trouble ?? 'Our edge does not answer for it yet.'
  if (report.status === 200 && report.body === probeAnswer(domainId)) return undefined
  return `Our edge does not lead it to its agent yet (it answers ${report.status}).`
}

function isOurs(found: CustomHostname, report: EdgeReport): boolean {
  if (!ACTIVE.has(found.status) || found.ssl.status !== 'active') return false
  return report.status === undefined ? report.certificate === undefined : report.status >= 500
}

function certificateOf(found: CustomHostname, { certificate }: Visit['domain']): Domain['certificate'] {
  const { status, issuer, expiresAt } = found.ssl
  return {
    status,
    issuer: issuer ?? certificate?.issuer ?? null,
    expiresAt: expiresAt?.toISOString() ?? certificate?.expiresAt ?? null,
  }
}

/** What visitors are shown says more than what the provider tells of it. */
function withProbe(
  certificate: Domain['certificate'],
  { certificate: shown }: EdgeReport,
): Domain['certificate'] {
  if (!certificate || !shown) return certificate
  return { ...certificate, issuer: shown.issuer, expiresAt: shown.expiresAt.toISOString() }
}

function saying(errors: readonly string[]): string {
  const [error] = errors
  return error === undefined ? '' : ` (it says: ${error.replace(/\.$/, '')})`
}
