import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, truncateSync } from 'node:fs'
import { chmod, chown, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clock } from '../clock.ts'
import type { KeptState } from '../kept-state.ts'
import { waitUntil } from '../wait-until.ts'
import { makeDisk, type RunningMachine, type Sandbox } from './sandbox.ts'
import type { Instance, Snapshot, VultrState } from './vultr-state.ts'

const run = promisify(execFile)
const CONSOLE_BYTES = 1_000_000

/**
 * The machines behind the instances: boots, halts and ends them, and copies their disks. Everything that happens to
 * one machine happens in order. What the state says survives a crash; this makes the machine agree with it.
 */
export class Machines {
  private readonly folder: string
  private readonly state: KeptState<VultrState>
  private readonly clock: Clock
  private readonly sandbox: Sandbox
  private readonly log: (line: string) => void
  private readonly running = new Map<string, RunningMachine>()
  private readonly queues = new Map<string, Promise<void>>()
  private stopping = false

  constructor(parts: {
    folder: string
    state: KeptState<VultrState>
    clock: Clock
    sandbox: Sandbox
    log: (line: string) => void
  }) {
    this.folder = parts.folder
    this.state = parts.state
    this.clock = parts.clock
    this.sandbox = parts.sandbox
    this.log = parts.log
    for (const name of ['machines', 'snapshots'])
      mkdirSync(join(this.folder, name), { recursive: true, mode: 0o700 })
  }

  /** After a start: ends what an earlier one left running, forgets what nobody owns, and lets machines go on. */
  async resume(): Promise<void> {
    const { instances, snapshots } = this.state.value
    for (const instance of instances) {
      await this.sandbox.end(instance.process, this.folders(instance.id))
      instance.process = null
    }
    this.state.save()
    await this.removeUnowned('machines', instances)
    await this.removeUnowned('snapshots', snapshots)
    for (const instance of instances) {
      if (!instance.hasBooted) this.bringUp(instance)
      else if (instance.power === 'running')
        void this.enqueue(instance.id, () => this.boot(instance, 'resumed'))
    }
    for (const snapshot of snapshots) {
      if (!snapshot.copied) this.copyForSnapshot(snapshot)
    }
  }

  /** Takes a new instance through its first boot. */
  bringUp(instance: Instance): void {
    void this.enqueue(instance.id, async () => {
      const { disk } = this.folders(instance.id)
      if (!existsSync(disk)) {
        const half = `${disk}.half`
        await rm(half, { recursive: true, force: true })
        mkdirSync(this.machineFolder(instance.id), { recursive: true, mode: 0o700 })
        if (instance.snapshotId) await copyTree(join(this.folder, 'snapshots', instance.snapshotId), half)
        makeDisk(half, this.sandbox.owner)
        renameSync(half, disk)
      }
      if (!(await this.reaches(instance, instance.bootsAt))) return
      // Kept before anything runs: if we are killed now, the machine goes on where it was instead of booting anew,
      // for a token in its user data may already be used.
      instance.hasBooted = true
      instance.power = 'running'
      this.state.save()
      await this.boot(instance, 'booted')
    })
  }

  start(instance: Instance): Promise<void> {
    return this.enqueue(instance.id, async () => {
      if (this.running.has(instance.id)) return
      instance.power = 'running'
      await this.boot(instance, 'booted')
    })
  }

  halt(instance: Instance): Promise<void> {
    return this.enqueue(instance.id, async () => {
      instance.power = 'stopped'
      await this.end(instance)
      this.state.save()
    })
  }

  reboot(instance: Instance): Promise<void> {
    return this.enqueue(instance.id, async () => {
      await this.end(instance)
      instance.power = 'running'
      await this.boot(instance, 'booted')
    })
  }

  /** The instance is no longer in the state; resolves when nothing of it runs. Its disk goes afterwards. */
  async destroy(instance: Instance): Promise<void> {
    const ended = this.enqueue(instance.id, () => this.end(instance))
    void this.enqueue(instance.id, () =>
      rm(this.machineFolder(instance.id), { recursive: true, force: true, maxRetries: 3 }),
    )
    await ended
  }

  /** Copies the disk as it is at this moment of the machine's queue. */
  copyForSnapshot(snapshot: Snapshot): void {
    void this.enqueue(snapshot.instanceId, async () => {
      const { disk } = this.folders(snapshot.instanceId)
      const copy = join(this.folder, 'snapshots', snapshot.id)
      const half = `${copy}.half`
      await rm(half, { recursive: true, force: true })
      if (!existsSync(copy)) {
        await copyTree(disk, half)
        renameSync(half, copy)
      }
      snapshot.size = Math.max(1, await bytesIn(copy))
      snapshot.copied = true
      this.state.save()
    }).catch(() => {
      // Without its machine there is nothing left to copy: such a snapshot never came to be.
      const { snapshots } = this.state.value
      if (snapshots.includes(snapshot)) snapshots.splice(snapshots.indexOf(snapshot), 1)
      this.state.save()
    })
  }

  async removeSnapshot(snapshot: Snapshot): Promise<void> {
    await this.enqueue(snapshot.instanceId, () =>
      rm(join(this.folder, 'snapshots', snapshot.id), { recursive: true, force: true, maxRetries: 3 }),
    )
  }

  consoleFile(id: string): string {
    return join(this.machineFolder(id), 'console.log')
  }

  /** Ends all machines as if the host were paused: a later start lets them go on. */
  async stop(): Promise<void> {
    this.stopping = true
    await Promise.allSettled(this.queues.values())
    await Promise.all(this.state.value.instances.map((instance) => this.end(instance)))
    this.state.save()
  }

  private async boot(instance: Instance, how: 'booted' | 'resumed'): Promise<void> {
    if (this.stopping || !this.isWanted(instance)) return
    const folders = this.folders(instance.id)
    const consoleFile = this.consoleFile(instance.id)
    if (how === 'booted') await rm(folders.run, { recursive: true, force: true })
    const script = join(folders.run, 'cloud-init', 'user-data')
    for (const folder of [folders.run, join(folders.run, 'cloud-init')]) {
      mkdirSync(folder, { recursive: true, mode: 0o755 })
      await this.giveToMachine(folder)
    }
    await writeFile(script, Buffer.from(instance.userData, 'base64'), { mode: 0o700 })
    await chmod(script, 0o700)
    await this.giveToMachine(script)
    if (existsSync(consoleFile) && statSync(consoleFile).size > CONSOLE_BYTES) truncateSync(consoleFile)
    const machine = await this.sandbox.start({
      folders,
      script,
      consoleFile,
      hostname: instance.hostname || 'vultr-guest',
    })
    this.running.set(instance.id, machine)
    instance.process = machine.process
    this.state.save()
    void machine.ended.then(() => {
      if (this.running.get(instance.id) !== machine) return
      this.running.delete(instance.id)
      this.log(`machine ${instance.id} went down by itself`)
      instance.power = 'stopped'
      instance.process = null
      this.state.save()
    })
  }

  private async end(instance: Instance): Promise<void> {
    this.running.delete(instance.id)
    await this.sandbox.end(instance.process, this.folders(instance.id))
    instance.process = null
  }

  private async giveToMachine(path: string): Promise<void> {
    const { owner } = this.sandbox
    if (owner) await chown(path, owner.uid, owner.gid)
  }

  /** Waits for a moment of the clock; false if the instance went away or we stop before that. */
  private async reaches(instance: Instance, at: number): Promise<boolean> {
    const isOver = () => this.stopping || !this.isWanted(instance)
    await waitUntil(() => isOver() || this.clock.now() >= at, { withinMs: Number.POSITIVE_INFINITY })
    return !isOver()
  }

  private isWanted(instance: Instance): boolean {
    return this.state.value.instances.includes(instance)
  }

  private enqueue(id: string, work: () => Promise<void>): Promise<void> {
    const before = this.queues.get(id) ?? Promise.resolve()
    const done = before.then(work)
    const settled = done.catch((error) => {
      this.log(`machine ${id}: ${error instanceof Error ? error.message : error}`)
    })
    this.queues.set(id, settled)
    void settled.then(() => {
      if (this.queues.get(id) === settled) this.queues.delete(id)
    })
    return done
  }

  private machineFolder(id: string): string {
    return join(this.folder, 'machines', id)
  }

  private folders(id: string): { disk: string; run: string } {
    return { disk: join(this.machineFolder(id), 'disk'), run: join(this.machineFolder(id), 'run') }
  }

  private async removeUnowned(kind: 'machines' | 'snapshots', owners: { id: string }[]): Promise<void> {
    const folder = join(this.folder, kind)
    for (const name of readdirSync(folder)) {
      if (owners.some((owner) => owner.id === name)) continue
      await rm(join(folder, name), { recursive: true, force: true, maxRetries: 3 })
    }
  }
}

/** Owners, times and links are kept; file systems that can share blocks between copies do. */
async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-a', '--reflink=auto', '--', from, to])
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}
