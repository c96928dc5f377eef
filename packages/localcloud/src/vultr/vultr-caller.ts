import { waitUntil } from '../wait-until.ts'
import type { Vultr } from './vultr.ts'

export interface Answer {
  status: number
  body: Record<string, unknown>
}

export interface InstanceOnTheWire {
  id: string
  status: string
  power_status: string
  server_status: string
  main_ip: string
  internal_ip: string
}

/** A plain client for tests: sends what it is told and hides nothing of the answer. */
export function vultrCaller({ url, apiKey }: Pick<Vultr, 'url' | 'apiKey'>) {
  async function call(method: string, path: string, body?: unknown, key = apiKey): Promise<Answer> {
    const response = await fetch(`${url}/v2${path}`, {
      method,
      headers: {
        // A connection kept for later may belong to a stand-in that was stopped and started since.
        connection: 'close',
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? {} : JSON.parse(text) }
  }

  async function getInstance(id: string): Promise<InstanceOnTheWire> {
    const { body } = await call('GET', `/instances/${id}`)
    return body.instance as InstanceOnTheWire
  }

  async function create(script: string, change: Record<string, unknown> = {}): Promise<string> {
    const { status, body } = await call('POST', '/instances', {
      region: 'icn',
      plan: 'vc2-1c-1gb',
      ...('snapshot_id' in change ? {} : { os_id: 2136 }),
      user_data: Buffer.from(script).toString('base64'),
      ...change,
    })
    if (status !== 202) throw new Error(`Not created: ${JSON.stringify(body)}`)
    return (body.instance as InstanceOnTheWire).id
  }

  /** The machine has booted; its user data may still be running. */
  async function booted(id: string): Promise<InstanceOnTheWire> {
    const isActive = async () => (await getInstance(id)).status === 'active'
    if (!(await waitUntil(isActive, { withinMs: 15_000 }))) throw new Error(`${id} does not boot.`)
    return getInstance(id)
  }

  async function console(id: string): Promise<string> {
    return (await fetch(`${url}/_local/machines/${id}/console`, { headers: { connection: 'close' } })).text()
  }

  /** Waits until the machine printed this. */
  async function printed(id: string, text: string): Promise<string> {
    const isThere = async () => (await console(id)).includes(text)
    if (!(await waitUntil(isThere, { withinMs: 15_000 }))) {
      throw new Error(`The machine did not print "${text}":\n${await console(id)}`)
    }
    return console(id)
  }

  async function snapshot(instanceId: string): Promise<string> {
    const { body } = await call('POST', '/snapshots', { instance_id: instanceId, description: 'of a test' })
    const { id } = body.snapshot as { id: string }
    const isComplete = async () => {
      const shown = (await call('GET', `/snapshots/${id}`)).body.snapshot as { status: string; size: number }
      return shown.status === 'complete' && shown.size > 0
    }
    if (!(await waitUntil(isComplete, { withinMs: 15_000 })))
      throw new Error(`Snapshot ${id} is not completed.`)
    return id
  }

  return { call, create, getInstance, booted, console, printed, snapshot }
}
