import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startKillable } from '../killable.ts'
import { temporaryDataDir } from '../temporary-data-dir.ts'
import { waitUntil } from '../wait-until.ts'
import { chooseSandbox } from './sandbox.ts'
import { startVultr, type Vultr } from './vultr.ts'
import { vultrCaller } from './vultr-caller.ts'

const PATHS = `base="\${AGENTCTL_BASE:-/opt/agentctl}"; run="\${AGENTCTL_RUN:-/run/agentctl}"; mkdir -p "$base" "$run"`
/** Says how often this disk and this /run have seen it, then leaves a process behind and ends. */
const COUNTING = `#!/bin/bash
${PATHS}
echo x >> "$base/boots"; echo x >> "$run/boots"
echo "boots: disk $(wc -l < "$base/boots"), run $(wc -l < "$run/boots")."
( trap '' HUP; while :; do sleep 1; done ) &
`

/** Numbers of all processes whose command line, environment or folder names this data directory. */
function processesOf(dataDir: string): number[] {
  const names = (pid: string) => {
    try {
      const texts = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8'))
      return texts.some((text) => text.includes(dataDir))
    } catch {
      return false
    }
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && names(name))
    .map(Number)
}

describe.each(['auto', 'none'] as const)('sandbox %s', (sandbox) => {
  const said: string[] = []
  const { kind } = chooseSandbox(sandbox, (line) => said.push(line))

  async function start(dataDir = temporaryDataDir()) {
    const vultr = await startVultr({ dataDir, sandbox, log: () => undefined })
    onTestFinished(() => vultr.stop())
    return { vultr, dataDir, ...vultrCaller(vultr) }
  }

  test('a sandbox that cannot be had is named, and so is one that was not wanted', () => {
    if (kind === 'bubblewrap') expect(said).toEqual([])
    else expect(said).toEqual([expect.stringMatching(/^WARNING: machines run as plain processes/)])
    expect(sandbox === 'none' ? kind : 'none').toBe('none')
  })

  test('a machine runs its user data, which only sees what belongs to it', async ({ skip }) => {
    const { create, printed, dataDir } = await start()
    const id = await create(`#!/bin/bash
      ${PATHS}
      echo "user $(id -u), home $HOME, folders $base $run"
      ls -d '${dataDir}' 2>/dev/null && echo "sees the host's data"
      head -c 1 /etc/shadow 2>/dev/null && echo "sees the host's passwords"
      test -d /proc/${process.pid} && grep -q vitest /proc/${process.pid}/cmdline && echo "sees the host's processes"
      touch /etc/by-the-machine 2>/dev/null && echo "changes the host"
      echo "told everything."
    `)
    const told = await printed(id, 'told everything.')
    skip(kind === 'none', 'plain processes see the host; that is what the warning says')
    expect(told).toContain('home /root, folders /opt/agentctl /run/agentctl')
    expect(told).not.toContain('sees the host')
    expect(told).not.toContain('changes the host')
  })

  test('machines listen on the same port, each at its own address', async () => {
    const { create, booted, printed } = await start()
    const first = await booted(await create('#!/bin/bash\necho up.\n'))
    const second = await booted(await create('#!/bin/bash\necho up.\n'))
    await printed(first.id, 'up.')
    const servers = [first, second].map(({ internal_ip }) => createServer().listen(47_070, internal_ip))
    onTestFinished(() => {
      for (const server of servers) server.close()
    })
    await Promise.all(servers.map((server) => once(server, 'listening')))
  })

  test('user data that is no program ends with an error on the console, and the machine stays up', async () => {
    const { create, printed, getInstance } = await start()
    const id = await create('#!/does/not/exist\n')
    await printed(id, 'user data ended with exit code 12')
    expect(await getInstance(id)).toMatchObject({ power_status: 'running' })
  })

  test('a halted machine runs nothing; started again it has its disk and an empty /run', async () => {
    const { create, printed, call, dataDir } = await start()
    const id = await create(COUNTING)
    await printed(id, 'boots: disk 1, run 1.')
    await call('POST', `/instances/${id}/halt`)
    expect(processesOf(dataDir)).toEqual([])
    await call('POST', `/instances/${id}/start`)
    await printed(id, 'boots: disk 2, run 1.')
    await call('POST', `/instances/${id}/reboot`)
    await printed(id, 'boots: disk 3, run 1.')
  })

  test('new user data is what the next boot runs', async () => {
    const { create, printed, call } = await start()
    const id = await create('#!/bin/bash\necho first.\n')
    await printed(id, 'first.')
    await call('PATCH', `/instances/${id}`, { user_data: btoa('#!/bin/bash\necho second.\n') })
    await call('POST', `/instances/${id}/reboot`)
    await printed(id, 'second.')
  })

  test('a machine made from a snapshot begins with that disk and an empty /run', async () => {
    const { create, printed, call, snapshot } = await start()
    const id = await create(COUNTING)
    await printed(id, 'boots: disk 1, run 1.')
    const taken = await snapshot(id)
    await call('POST', `/instances/${id}/reboot`)
    await printed(id, 'boots: disk 2, run 1.')
    await call('DELETE', `/instances/${id}`)

    const restored = await create(COUNTING, { snapshot_id: taken })
    await printed(restored, 'boots: disk 2, run 1.')
    const again = await create(COUNTING, { snapshot_id: taken })
    await printed(again, 'boots: disk 2, run 1.')
  })

  test('deleting a machine ends all of its processes, also those that broke away, and removes its disk', async () => {
    const { create, printed, call, dataDir } = await start()
    const id = await create(`#!/bin/bash
      setsid bash -c 'trap "" TERM HUP; echo away.; while :; do sleep 1; done' &
    `)
    await printed(id, 'away.')
    expect(processesOf(dataDir).length).toBeGreaterThan(0)
    expect((await call('DELETE', `/instances/${id}`)).status).toBe(204)
    expect(processesOf(dataDir)).toEqual([])
    const isGone = () => !existsSync(join(dataDir, 'vultr', 'machines', id))
    expect(await waitUntil(isGone, { withinMs: 5_000 })).toBe(true)
  })

  test('stopped, nothing runs; started again, machines go on with their disk and their /run', async () => {
    const first = await start()
    const id = await first.create(COUNTING)
    await first.printed(id, 'boots: disk 1, run 1.')
    const halted = await first.create(COUNTING)
    await first.printed(halted, 'boots: disk 1, run 1.')
    await first.call('POST', `/instances/${halted}/halt`)
    await first.vultr.stop()
    expect(processesOf(first.dataDir)).toEqual([])

    const second = await start(first.dataDir)
    await second.printed(id, 'boots: disk 2, run 2.')
    expect(await second.getInstance(halted)).toMatchObject({ power_status: 'stopped' })
    expect(await second.console(halted)).not.toContain('disk 2')
  })

  test('after kill -9 of the stand-in, no machine goes on unnoticed', async () => {
    const dataDir = temporaryDataDir()
    const killed = await startKillable<Vultr>('vultr', dataDir, { sandbox })
    const before = vultrCaller(killed.part)
    const id = await before.create(COUNTING)
    await before.printed(id, 'boots: disk 1, run 1.')
    const left = processesOf(dataDir).filter((pid) => pid !== killed.pid)
    expect(left.length).toBeGreaterThan(0)
    await killed.kill()
    if (kind === 'bubblewrap') {
      expect(await waitUntil(() => processesOf(dataDir).length === 0, { withinMs: 5_000 })).toBe(true)
    }

    const after = await start(dataDir)
    await after.printed(id, 'boots: disk 2, run 2.')
    expect(processesOf(dataDir).filter((pid) => left.includes(pid))).toEqual([])
    await after.call('DELETE', `/instances/${id}`)
    expect(processesOf(dataDir)).toEqual([])
  })

  test('a disk that no instance owns is removed at the next start', async () => {
    const first = await start()
    const id = await first.create(COUNTING)
    await first.printed(id, 'boots: disk 1')
    await first.vultr.stop()
    const stateFile = join(first.dataDir, 'vultr', 'state.json')
    writeFileSync(
      stateFile,
      JSON.stringify({ ...JSON.parse(readFileSync(stateFile, 'utf8')), instances: [] }),
    )
    await start(first.dataDir)
    expect(readdirSync(join(first.dataDir, 'vultr', 'machines'))).toEqual([])
  })
})

test('a snapshot that was interrupted is taken anew at the next start', async () => {
  const dataDir = temporaryDataDir()
  const log = () => undefined
  const first = await startVultr({ dataDir, log })
  onTestFinished(() => first.stop())
  const { create, printed, snapshot } = vultrCaller(first)
  const id = await create(COUNTING)
  await printed(id, 'boots: disk 1, run 1.')
  const taken = await snapshot(id)
  await first.stop()
  // As a kill in the middle of the copy leaves it.
  const folder = join(dataDir, 'vultr', 'snapshots')
  renameSync(join(folder, taken), join(folder, `${taken}.half`))
  const stateFile = join(dataDir, 'vultr', 'state.json')
  writeFileSync(stateFile, readFileSync(stateFile, 'utf8').replace('"copied":true', '"copied":false'))

  const second = await startVultr({ dataDir, log })
  onTestFinished(() => second.stop())
  const { call } = vultrCaller(second)
  const isComplete = async () =>
    JSON.stringify((await call('GET', `/snapshots/${taken}`)).body).includes('"complete"')
  expect(await waitUntil(isComplete, { withinMs: 10_000 })).toBe(true)
  expect(readdirSync(folder)).toEqual([taken])
})

test('an instance whose making was interrupted boots once, at the next start', async () => {
  const dataDir = temporaryDataDir()
  const killed = await startKillable<Vultr>('vultr', dataDir)
  await fetch(`${killed.part.url}/_local/settings`, { method: 'POST', body: '{"bootSeconds":600}' })
  const id = await vultrCaller(killed.part).create(COUNTING)
  await killed.kill()

  const vultr = await startVultr({ dataDir, log: () => undefined })
  onTestFinished(() => vultr.stop())
  const { printed, getInstance } = vultrCaller(vultr)
  expect(await getInstance(id)).toMatchObject({ status: 'pending', server_status: 'none' })
  writeFileSync(join(dataDir, 'clock'), '600000')
  await printed(id, 'boots: disk 1, run 1.')
  expect(await getInstance(id)).toMatchObject({ status: 'active', server_status: 'ok' })
})
