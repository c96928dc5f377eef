import { type ProcessorHost, processorHosts } from '../../providers/processors.ts'
import { processors } from '../policy.ts'
import { type Check, type Checks, type EvidenceDeps, once } from './check.ts'
import { listConstraints, listToldFields, lookAtMachines, sumLeaks } from './store.ts'

/**
 * Whether the one who works for us under this name was told what is declared and nothing else, and cannot be: by this
 * process, and by all others as they have noted it.
 */
const toldOnly =
  (name: ProcessorHost['name']): Check =>
  async (deps) => {
    const { config, egress } = deps
    const noted = (await once(deps, listToldFields)).filter(({ processor }) => processor === name)
    const hosts = processorHosts(config).filter((host) => host.name === name)
    const told = new Set<string>()
    const more = new Set<string>()
    const unguarded: string[] = []
    for (const { field, declared, told: wasTold } of noted) {
      if (wasTold) told.add(field)
      if (!declared) more.add(field)
    }
    for (const { baseUrl, fields } of hosts) {
      const { origin, host } = new URL(baseUrl)
      const sent = egress.told(origin)
      const tellable = egress.tellable(origin)
      // A server that does not call it at all cannot tell it anything.
      if (egress.processors.includes(origin) && !tellable?.every((field) => fields.includes(field)))
        unguarded.push(host)
      for (const field of sent) {
        told.add(field)
        if (!fields.includes(field)) more.add(field)
      }
    }
    return {
      holds: more.size === 0 && unguarded.length === 0,
      evidence: {
        used: hosts.length > 0 || noted.length > 0,
        fieldsTold: [...told].sort().join(', '),
        moreThanNeeded: [...more].sort().join(', '),
        hostsThatMayBeToldMore: unguarded.join(', '),
      },
    }
  }

async function nobodyElse(deps: EvidenceDeps) {
  const { egress, config, text } = deps
  const hosts = processorHosts(config)
  const named = JSON.stringify(text.find(({ title }) => title === 'Who works for us') ?? '')
  const noted = (await once(deps, listToldFields)).map(({ processor }) => processor)
  const names = [...new Set([...hosts.map(({ name }) => name), ...noted])].sort()
  const unnamed = names.filter((name) => !(name in processors) || !named.includes(name))
  const known = new Set(hosts.map(({ baseUrl }) => new URL(baseUrl).origin))
  const unknown = egress.processors.filter((origin) => !known.has(origin))
  const chains = new Set([config.chain.rpcUrl, ...config.deposits.map(({ rpcUrl }) => rpcUrl)])
  const chainOrigins = new Set([...chains].filter((url) => url !== '').map((url) => new URL(url).origin))
  const others = egress.infrastructure.filter((origin) => !chainOrigins.has(origin))
  return {
    holds: unnamed.length === 0 && unknown.length === 0 && others.length === 0,
    evidence: {
      processors: names.join(', '),
      notNamedInThePolicy: unnamed.join(', '),
      otherHosts: [...unknown, ...others].map((origin) => new URL(origin).host).join(', '),
      callsRefused: egress.refused(),
    },
  }
}

async function cards(deps: EvidenceDeps) {
  const { holds, evidence } = await toldOnly('Stripe')(deps)
  const leaks = await once(deps, sumLeaks)
  return {
    holds: holds && leaks.cards === '',
    evidence: { ...evidence, rowsSearched: leaks.rowsSeen, cardNumbersFound: leaks.cards },
  }
}

async function seoul(deps: EvidenceDeps) {
  const { db } = deps
  const told = await toldOnly('Vultr')(deps)
  const { machines, elsewhere, listedElsewhere } = await once(deps, lookAtMachines)
  const rules = await listConstraints(db.jobs, 'machines')
  const enforced = rules.some((rule) => /^CHECK \(\(region = 'icn'::text\)\)$/.test(rule))
  return {
    holds: elsewhere === 0 && listedElsewhere === 0 && enforced && told.holds,
    evidence: { ...told.evidence, machines, elsewhere, listedElsewhere, enforcedByTheDatabase: enforced },
  }
}

export const processorChecks: Checks = {
  '2g': nobodyElse,
  '3a': toldOnly('Twilio'),
  '3b': cards,
  '3c': toldOnly('Cloudflare'),
  '3d': seoul,
  '12a': toldOnly('Twilio'),
  '12b': toldOnly('Stripe'),
  '12c': toldOnly('Cloudflare'),
  '12d': seoul,
  '12e': nobodyElse,
}
