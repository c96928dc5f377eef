import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import type { Machines } from './machines.ts'
import { page } from './paging.ts'
import { RequestBody } from './request-body.ts'
import { vultrDate } from './vultr-date.ts'
import { Refused } from './vultr-error.ts'
import type { Snapshot, VultrState } from './vultr-state.ts'

export function snapshotRoutes(state: KeptState<VultrState>, machines: Machines, clock: Clock): Hono {
  const app = new Hono()
  const { snapshots, instances, settings } = state.value

  app.get('/snapshots', (c) => {
    const { description } = c.req.query()
    const found = snapshots.filter((one) => description === undefined || one.description === description)
    const { items, meta } = page(found, c.req.query())
    return c.json({ snapshots: items.map((one) => show(one, clock.now())), meta })
  })

  app.post('/snapshots', async (c) => {
    const body = await RequestBody.of(c)
    const instance = instances.find((one) => one.id === body.text('instance_id'))
    if (!instance) throw new Refused(404, 'Invalid instance-id.')
    if (!instance.hasBooted) throw new Refused(400, 'The instance is not ready for a snapshot.')
    const now = clock.now()
    const snapshot: Snapshot = {
      id: randomUUID(),
      createdAt: now,
      completeAt: now + settings.snapshotSeconds * 1000,
      instanceId: instance.id,
      description: body.text('description'),
      size: 0,
      osId: instance.osId,
      copied: false,
    }
    snapshots.push(snapshot)
    state.save()
    machines.copyForSnapshot(snapshot)
    return c.json({ snapshot: show(snapshot, now) }, 201)
  })

  app.get('/snapshots/:id', (c) => c.json({ snapshot: show(find(c.req.param('id')), clock.now()) }))

  app.put('/snapshots/:id', async (c) => {
    const snapshot = find(c.req.param('id'))
    snapshot.description = (await RequestBody.of(c)).text('description')
    state.save()
    return c.body(null, 204)
  })

  app.delete('/snapshots/:id', async (c) => {
    const snapshot = find(c.req.param('id'))
    snapshots.splice(snapshots.indexOf(snapshot), 1)
    state.save()
    await machines.removeSnapshot(snapshot)
    return c.body(null, 204)
  })

  function find(id: string): Snapshot {
    const snapshot = snapshots.find((one) => one.id === id)
    if (!snapshot) throw new Refused(404, 'Snapshot not found.')
    return snapshot
  }

  return app
}

/** The wire form that Vultr calls a snapshot. */
function show(snapshot: Snapshot, now: number): Record<string, unknown> {
  const isComplete = snapshot.copied && now >= snapshot.completeAt
  return {
    id: snapshot.id,
    date_created: vultrDate(snapshot.createdAt),
    description: snapshot.description,
    size: isComplete ? snapshot.size : 0,
    status: isComplete ? 'complete' : 'pending',
    os_id: snapshot.osId,
    app_id: 0,
  }
}
