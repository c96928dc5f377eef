import type { Domain, Finding } from '@agentctl/contract/domains.ts'
import type { Role } from '@agentctl/contract/endpoint.ts'
import type { Deps } from '../deps.ts'
import type { Caller } from '../platform/http.ts'
import { attend, type DomainWanted, domainView, enterDomain } from './domains.ts'
import { lookAtDns } from './findings.ts'

/** Compares live DNS with what should be there, and has the operation look at the provider and our edge. */
export async function checkDomain(
  deps: Pick<Deps, 'db' | 'clock' | 'config' | 'liveDns'>,
  caller: Caller,
  wanted: DomainWanted,
  role: Role,
): Promise<{ domain: Domain; findings: Finding[] }> {
  const account = caller.accountId
  const domain = await deps.db.as({ account }, async (tx) => {
    const found = await enterDomain(deps, tx, caller, wanted, role)
    await attend(tx, found, deps.clock.now())
    return found
  })
  const { findings } = await lookAtDns(deps, domain)
  return { domain: domainView(deps, domain), findings }
}
