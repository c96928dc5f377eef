import type { Deps } from '../deps.ts'
import { faultOf } from '../platform/fault.ts'
import type { ProcessorHost } from '../providers/processors.ts'
import type { Egress } from '../providers/transport.ts'
import { putToldFields } from './told-fields-store.ts'

const LOOK_MS = 10_000
/** What has not changed is said again as often, so that it is not deleted as something of long ago. */
const AGAIN_MS = 3_600_000

/** A field that somebody who works for us may be told, and whether that was so. */
export interface ToldField {
  processor: string
  field: string
  /** Whether the process that may tell it had it on its list. */
  declared: boolean
  told: boolean
}

interface Caller {
  egress: Pick<Egress, 'told' | 'tellable'>
  /** Whom this process calls. */
  hosts: readonly ProcessorHost[]
}

/** What those whom this process calls may be told and were told since its start. */
export function toldFields({ egress, hosts }: Caller): ToldField[] {
  const all = new Map<string, ToldField>()
  const note = (one: ToldField): void => {
    const key = `${one.processor} ${one.field}`
    const known = all.get(key)
    all.set(key, {
      ...one,
      declared: one.declared || known?.declared === true,
      told: one.told || known?.told === true,
    })
  }
  for (const { name: processor, baseUrl, fields } of hosts) {
    const { origin } = new URL(baseUrl)
    const told = egress.told(origin)
    for (const field of new Set([...(egress.tellable(origin) ?? ['*']), ...told]))
      note({ processor, field, declared: fields.includes(field), told: told.includes(field) })
  }
  return [...all.values()]
}

/** Policy 3: leaves that for the evidence, which another process may be asked for. Resolves once it is noted. */
export async function keepToldFields(
  caller: Pick<Deps, 'db' | 'clock' | 'log'> & Caller,
): Promise<{ stop(): Promise<void> }> {
  const { db, clock, log } = caller
  let noted = ''
  let notedAt = 0
  const note = async (): Promise<void> => {
    const fields = toldFields(caller)
    const text = JSON.stringify(fields)
    if (fields.length === 0 || (text === noted && performance.now() - notedAt < AGAIN_MS)) return
    try {
      await putToldFields(db.jobs, fields, clock.now())
      noted = text
      notedAt = performance.now()
    } catch (error) {
      // The next look does it.
      log.warn('What processors were told could not be noted', { fault: faultOf(error) })
    }
  }
  await note()
  let last = Promise.resolve()
  const timer = setInterval(() => {
    last = last.then(note)
  }, LOOK_MS)
  return {
    async stop() {
      clearInterval(timer)
      await last
      await note()
    },
  }
}
