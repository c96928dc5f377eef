import type { DnsRecord } from '@agentctl/contract/domains.ts'
import type { Deps } from '../deps.ts'
import { isApex } from './hostnames.ts'
import type { DomainRow } from './store.ts'

type Named = Pick<DomainRow, 'hostname' | 'agentLabel' | 'ownership'>

/**
 * Where the name has to lead: to the address of its own agent, which nobody else ever gets. A CNAME that is forgotten
 * in somebody's DNS is then of no use to another account.
 */
export function targetOf(
  { config }: Pick<Deps, 'config'>,
  { agentLabel }: Pick<DomainRow, 'agentLabel'>,
): string {
  return `${agentLabel}.${config.agentDomain}`.toLowerCase()
}

/** What the owner of the name creates. A flattened CNAME shows addresses only, so there a TXT record says whose it is. */
export function recordsOf(deps: Pick<Deps, 'config'>, domain: Named): DnsRecord[] {
  const { hostname, ownership } = domain
  return [
    { type: 'CNAME', name: hostname, value: targetOf(deps, domain) },
    ...(isApex(hostname) && ownership ? [{ type: 'TXT' as const, ...ownership }] : []),
  ]
}

/** Under the name itself, so that what is asked for there shows which domain of ours a visitor gets. */
export const probePath = (domainId: string): string => `/.well-known/agentctl/${domainId}`

export const probeAnswer = (domainId: string): string => `${domainId}\n`
