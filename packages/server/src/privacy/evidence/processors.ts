import { processorHosts } from '../../providers/processors.ts'
import { processors } from '../policy.ts'
import { type Check, type Checks, type EvidenceDeps, once } from './check.ts'
import { listConstraints, lookAtMachines, sumLeaks } from './store.ts'

/** Fields by which a person could be told of; only the one who sends codes is told a phone. */
const PERSONAL = /^(?:customer_)?(?:e-?mail|phone|name|address|wallet|account|account_id|birth.*)$/i

const originsOf = ({ config }: Pick<EvidenceDeps, 'config'>, name: string): string[] =>
  processorHosts(config)
    .filter((host) => host.name === name)
    .map(({ baseUrl }) => new URL(baseUrl).origin)

const toldTo = (deps: EvidenceDeps, name: string): string[] => [
  ...new Set(originsOf(deps, name).flatMap((origin) => deps.egress.told(origin))),
]

async function nobodyElse(deps: EvidenceDeps) {
  const { egress, config, text } = deps
  const hosts = processorHosts(config)
  const named = JSON.stringify(text.find(({ title }) => title === 'Who works for us') ?? '')
  const unnamed = hosts.filter(({ name }) => !(name in processors) || !named.includes(name))
  const known = new Set(hosts.map(({ baseUrl }) => new URL(baseUrl).origin))
  const unknown = egress.processors.filter((origin) => !known.has(origin))
  const chains = new Set([config.chain.rpcUrl, ...config.deposits.map(({ rpcUrl }) => rpcUrl)])
  const chainOrigins = new Set([...chains].filter((url) => url !== '').map((url) => new URL(url).origin))
  const others = egress.infrastructure.filter((origin) => !chainOrigins.has(origin))
  return {
    holds: unnamed.length === 0 && unknown.length === 0 && others.length === 0,
    evidence: {
      processors: [...new Set(hosts.map(({ name }) => name))].join(', '),
      notNamedInThePolicy: unnamed.map(({ name }) => name).join(', '),
      otherHosts: [...unknown, ...others].map((origin) => new URL(origin).host).join(', '),
      callsRefused: egress.refused(),
    },
  }
}

async function codes(deps: EvidenceDeps) {
  const told = toldTo(deps, 'Twilio')
  const allowed = new Set(['To', 'Channel', 'VerificationSid', 'Code', 'Status'])
  const more = told.filter((field) => !allowed.has(field))
  return {
    holds: more.length === 0 && originsOf(deps, 'Twilio').length === 1,
    evidence: { fieldsTold: told.join(', '), moreThanNeeded: more.join(', ') },
  }
}

const knowsNobody =
  (name: keyof typeof processors, except: readonly string[] = []): Check =>
  async (deps) => {
    const told = toldTo(deps, name)
    const personal = told.filter((field) => PERSONAL.test(field) && !except.includes(field))
    return {
      holds: personal.length === 0,
      evidence: {
        used: originsOf(deps, name).length > 0,
        fieldsTold: told.join(', '),
        aboutPeople: personal.join(', '),
      },
    }
  }

async function cards(deps: EvidenceDeps) {
  const { holds, evidence } = await knowsNobody('Stripe')(deps)
  const leaks = await once(deps, sumLeaks)
  return {
    holds: holds && leaks.cards === '',
    evidence: { ...evidence, rowsSearched: leaks.rowsSeen, cardNumbersFound: leaks.cards },
  }
}

async function seoul(deps: EvidenceDeps) {
  const { db } = deps
  const { machines, elsewhere } = await once(deps, lookAtMachines)
  const rules = await listConstraints(db.jobs, 'machines')
  const enforced = rules.some((rule) => /^CHECK \(\(region = 'icn'::text\)\)$/.test(rule))
  return {
    holds: elsewhere === 0 && enforced,
    evidence: { machines, elsewhere, enforcedByTheDatabase: enforced },
  }
}

export const processorChecks: Checks = {
  '2g': nobodyElse,
  '3a': codes,
  '3b': cards,
  // There, a name is that of a record.
  '3c': knowsNobody('Cloudflare', ['name']),
  '3d': seoul,
}
