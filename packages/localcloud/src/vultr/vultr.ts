import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { join } from 'node:path'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import { readKeptFile } from '../kept-file.ts'
import { KeptState } from '../kept-state.ts'
import { type StandInOptions, startStandIn } from '../stand-in.ts'
import { accountRoutes, PUBLIC_PATHS } from './account.ts'
import { instanceRoutes } from './instances.ts'
import { Machines } from './machines.ts'
import { networkRoutes } from './networks.ts'
import { chooseSandbox } from './sandbox.ts'
import { snapshotRoutes } from './snapshots.ts'
import { Refused, vultrError } from './vultr-error.ts'
import { INITIAL_STATE, type VultrSettings, type VultrState } from './vultr-state.ts'

export interface VultrOptions extends StandInOptions {
  /** `none` runs machines as plain processes even where a sandbox could be had. */
  sandbox?: 'auto' | 'none'
}

export interface Vultr {
  /** Origin; the API is under `/v2`, the controls of the stand-in under `/_local`. */
  url: string
  apiKey: string
  stop(): Promise<void>
}

/** Starts the stand-in for Vultr, whose machines really run; those that were running go on. */
export async function startVultr(options: VultrOptions): Promise<Vultr> {
  const { url, credentials, stop } = await startStandIn<{ apiKey: string }>(
    {
      name: 'vultr',
      makeCredentials: () => ({ apiKey: randomBytes(18).toString('hex').toUpperCase() }),
      build: async ({ credentials, folder, clock, log }) => {
        const state = new KeptState<VultrState>(join(folder, 'state.json'), structuredClone(INITIAL_STATE))
        const sandbox = chooseSandbox(options.sandbox ?? 'auto', log)
        const machines = new Machines({ folder, state, clock, sandbox, log })
        await machines.resume()
        return {
          api: vultrApi(credentials.apiKey, state, machines, clock),
          local: vultrControls(state, machines),
          close: () => machines.stop(),
        }
      },
    },
    options,
  )
  return { url, ...credentials, stop }
}

function vultrApi(apiKey: string, state: KeptState<VultrState>, machines: Machines, clock: Clock): Hono {
  const app = new Hono()
  app.use('/v2/*', async (c, next) => {
    const isPublic = c.req.method === 'GET' && PUBLIC_PATHS.some((path) => c.req.path.startsWith(path))
    if (!isPublic && !sameSecret(c.req.header('authorization') ?? '', `Bearer ${apiKey}`)) {
      return vultrError(401, 'Invalid API token.')
    }
    return next()
  })
  app.route('/v2', accountRoutes(state, clock))
  app.route('/v2', instanceRoutes(state, machines, clock))
  app.route('/v2', snapshotRoutes(state, machines, clock))
  app.route('/v2', networkRoutes(state, clock))
  app.all('*', () => vultrError(404, 'Invalid API route.'))
  app.onError((error) => {
    if (error instanceof Refused) return vultrError(error.status, error.message)
    throw error
  })
  return app
}

function vultrControls(state: KeptState<VultrState>, machines: Machines): Hono {
  const app = new Hono()
  app.get('/machines', (c) =>
    c.json(
      state.value.instances.map(({ id, label, address, power, process }) => ({
        id,
        label,
        address,
        power,
        pid: process?.leader.pid ?? null,
      })),
    ),
  )
  app.get('/machines/:id/console', (c) => {
    const id = c.req.param('id')
    if (!state.value.instances.some((one) => one.id === id))
      return c.json({ error: 'There is no such machine.' }, 404)
    return c.text(readKeptFile(machines.consoleFile(id)) ?? '')
  })
  app.post('/machines/:id/traffic', async (c) => {
    const instance = state.value.instances.find((one) => one.id === c.req.param('id'))
    if (!instance) return c.json({ error: 'There is no such machine.' }, 404)
    const asked: unknown = await c.req.json().catch(() => undefined)
    const { day, incomingBytes = 0, outgoingBytes = 0 } = (asked ?? {}) as Record<string, unknown>
    if (
      typeof day !== 'string' ||
      !/^\d{4}-\d\d-\d\d$/.test(day) ||
      !isBytes(incomingBytes) ||
      !isBytes(outgoingBytes)
    ) {
      return c.json({ error: 'Send {"day": "2026-01-31", "incomingBytes": 0, "outgoingBytes": 0}.' }, 400)
    }
    instance.traffic = {
      ...instance.traffic,
      [day]: { incoming_bytes: incomingBytes, outgoing_bytes: outgoingBytes },
    }
    state.save()
    return c.json({ traffic: instance.traffic })
  })
  app.get('/settings', (c) => c.json(state.value.settings))
  app.post('/settings', async (c) => {
    const asked: unknown = await c.req.json().catch(() => undefined)
    const change = readSettings(asked)
    if (!change)
      return c.json({ error: 'Settings are bootSeconds and snapshotSeconds, numbers from 0.' }, 400)
    Object.assign(state.value.settings, change)
    state.save()
    return c.json(state.value.settings)
  })
  return app
}

const isBytes = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

function readSettings(asked: unknown): Partial<VultrSettings> | undefined {
  if (typeof asked !== 'object' || asked === null) return undefined
  const isValid = Object.entries(asked).every(
    ([name, value]) =>
      (name === 'bootSeconds' || name === 'snapshotSeconds') && typeof value === 'number' && value >= 0,
  )
  return isValid ? asked : undefined
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
