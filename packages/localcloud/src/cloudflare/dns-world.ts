import { isIPv4, isIPv6 } from 'node:net'
import type { KeptState } from '../kept-state.ts'
import { type CloudflareState, RECORD_TYPES, type RecordSet } from './cloudflare-state.ts'
import { answerFrom, type DnsAnswer, isUnder, plainName, readCaa } from './dns-answers.ts'
import type { DnsTrouble } from './dns-server.ts'

export interface DnsFault {
  /** Hits questions about this name and those below it. */
  name: string
  kind: DnsTrouble
}

export const DNS_TROUBLES: readonly DnsTrouble[] = ['servfail', 'timeout', 'nxdomain', 'refused']

/** All the names of the local cloud's world: the zone at Cloudflare, and what others have put into the DNS. */
export class DnsWorld {
  readonly zoneName: string
  private readonly state: KeptState<CloudflareState>
  private faults: DnsFault[] = []

  constructor(zoneName: string, state: KeptState<CloudflareState>) {
    this.zoneName = zoneName
    this.state = state
  }

  answer(name: string, type: string): DnsAnswer {
    return answerFrom(this.zoneName, this.state.value, name, type)
  }

  trouble(name: string): DnsTrouble | undefined {
    return this.faults.find((fault) => isUnder(plainName(name), fault.name))?.kind
  }

  listFaults(): readonly DnsFault[] {
    return this.faults
  }

  addFault(fault: DnsFault): void {
    this.faults = [...this.faults.filter(({ name }) => name !== fault.name), fault]
  }

  clearFaults(): void {
    this.faults = []
  }

  /** Every value that a name has, CNAMEs followed. Undefined when nobody can say at this moment. */
  find(name: string, type: 'A' | 'TXT'): string[] | undefined {
    const trouble = this.trouble(name)
    if (trouble === 'nxdomain') return []
    if (trouble !== undefined) return undefined
    const { rcode, answers } = this.answer(name, type)
    if (rcode === 'SERVFAIL') return undefined
    return answers.flatMap((answer) => {
      if (answer.type === 'A') return answer.type === type ? [answer.data] : []
      return answer.type === 'TXT' && answer.type === type ? [[answer.data].flat().join('')] : []
    })
  }

  /** The names that a name stands for, one by one. */
  findChain(name: string): string[] | undefined {
    const trouble = this.trouble(name)
    if (trouble === 'nxdomain') return []
    if (trouble !== undefined) return undefined
    const { answers } = this.answer(name, 'A')
    return answers.flatMap((answer) => (answer.type === 'CNAME' ? [plainName(answer.data)] : []))
  }

  /** What certificate authorities go by: the records of the name, or of the nearest above it that has any. */
  findCaa(name: string): { tag: string; value: string }[] | undefined {
    const labels = name.split('.')
    for (let from = 0; from < labels.length; from++) {
      const at = labels.slice(from).join('.')
      const trouble = this.trouble(at)
      if (trouble !== undefined && trouble !== 'nxdomain') return undefined
      const { answers } = this.answer(at, 'CAA')
      const found = answers.flatMap((answer) => (answer.type === 'CAA' ? [answer.data] : []))
      if (found.length > 0 && trouble === undefined) return found.map(({ tag, value }) => ({ tag, value }))
    }
    return []
  }

  list(): readonly RecordSet[] {
    return this.state.value.elsewhere
  }

  /** A sentence about what is wrong with it, when it is not taken. */
  set(asked: { name?: unknown; type?: unknown; values?: unknown }): string | undefined {
    const type = RECORD_TYPES.find((one) => one === asked.type)
    const { values } = asked
    if (!type) return `type is one of ${RECORD_TYPES.join(', ')}.`
    if (typeof asked.name !== 'string' || !NAME.test(asked.name)) return 'name is a host name in ASCII.'
    if (
      !Array.isArray(values) ||
      values.length === 0 ||
      !values.every((value) => typeof value === 'string')
    ) {
      return 'values is a list of texts.'
    }
    const name = plainName(asked.name)
    if (isUnder(name, this.zoneName)) return `${this.zoneName} is the zone at Cloudflare: use its API.`
    const wrong = values.find((value: string) => !isValue[type](value))
    if (wrong !== undefined) return `"${wrong}" is no value of ${type}.`
    if (type === 'CNAME' && values.length > 1) return 'A name has one CNAME at most.'
    const others = this.list().filter((set) => set.name === name && set.type !== type)
    if (others.length > 0 && (type === 'CNAME' || others.some((set) => set.type === 'CNAME'))) {
      return `A CNAME cannot stand beside other records of ${name}; remove those first.`
    }
    const kept = type === 'CNAME' || type === 'NS' ? values.map(plainName) : values
    this.replace(name, type, [{ name, type, values: kept }])
    return undefined
  }

  remove(name: string, type: string | undefined): void {
    this.replace(plainName(name), type, [])
  }

  private replace(name: string, type: string | undefined, by: RecordSet[]): void {
    const { value } = this.state
    const isKept = (set: RecordSet) => set.name !== name || (type !== undefined && set.type !== type)
    value.elsewhere = [...value.elsewhere.filter(isKept), ...by]
    this.state.save()
  }
}

const NAME =
  /^(?=.{1,253}\.?$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.?$/i

const isValue: Record<RecordSet['type'], (value: string) => boolean> = {
  A: isIPv4,
  AAAA: isIPv6,
  CNAME: (value) => NAME.test(value),
  NS: (value) => NAME.test(value),
  TXT: (value) => /^[\x20-\x7e]{1,2000}$/.test(value),
  CAA: (value) => readCaa(value) !== undefined,
}
