import { execFileSync, spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { bundleRunner, removeBundles, TestMachine, until } from './test-machine.ts'
import { sha256 } from './test-server.ts'

afterAll(removeBundles)

let bundle: string
let machine: TestMachine

beforeAll(async () => {
  bundle = await bundleRunner()
})

beforeEach(() => {
  machine = new TestMachine(bundle)
})

afterEach(async () => {
  const { runner } = machine
  if (runner) {
    const ended = new Promise((resolve) => runner.once('exit', resolve))
    runner.kill('SIGKILL')
    await ended
  }
  await machine.server.stop()
  rmSync(machine.folder, { recursive: true, force: true })
  expect(machine.server.violations).toEqual([])
})

/** Tries what a hostile agent would try, and answers with what it could do. */
const prying = `
const fs = require('node:fs')
const http = require('node:http')
const attempt = (what) => { try { what(); return 'possible' } catch (error) { return error.code } }
const startsWithNode = (pid) => pid > 0 && fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').startsWith('/node/node\\0')
const runner = () => Number(fs.readdirSync('/proc').find(startsWithNode))
http.createServer((request, response) => response.end(JSON.stringify({
  uid: process.getuid(),
  gid: process.getgid(),
  groups: process.getgroups(),
  user: process.env.USER,
  readCredential: attempt(() => fs.readFileSync('/run/agentctl/credential.json')),
  listRun: attempt(() => fs.readdirSync('/run/agentctl')),
  writeRun: attempt(() => fs.writeFileSync('/run/agentctl/bootstrap', 'x')),
  writeRunner: attempt(() => fs.writeFileSync('/opt/agentctl/runner/current', 'x')),
  replaceRunner: attempt(() => fs.renameSync('/opt/agentctl/runner', '/opt/agentctl/other')),
  readBlobs: attempt(() => fs.readdirSync('/opt/agentctl/blobs')),
  writeReleases: attempt(() => fs.mkdirSync('/opt/agentctl/releases/rel_2')),
  spyOnRunner: attempt(() => fs.readFileSync('/proc/' + runner() + '/environ')),
  stopRunner: attempt(() => process.kill(runner(), 0)),
  writeHome: attempt(() => fs.writeFileSync(process.env.HOME + '/state', 'x')),
  writeOwnRelease: attempt(() => fs.writeFileSync('cache', 'x')),
  writeStdout: attempt(() => fs.appendFileSync('/dev/stdout', 'by its path\\n')),
}))).listen(process.env.PORT)
`

test('the agent runs as its own user and cannot touch what is the runner’s', async ({ skip }) => {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/bwrap')) {
    skip('needs root and bubblewrap for a machine with a user of its own')
  }
  const [etc, opt, run, node] = ['etc', 'opt', 'run', 'node'].map((name) => join(machine.folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  for (const path of [etc, join(opt, 'agentctl/runner'), join(run, 'agentctl'), node]) {
    mkdirSync(path, { recursive: true })
  }
  writeFileSync(
    join(etc, 'passwd'),
    'root:x:0:0::/root:/bin/sh\nagent:x:4321:4321::/opt/agentctl/home:/bin/sh\n',
  )
  writeFileSync(join(etc, 'group'), 'root:x:0:\nagent:x:4321:\n')
  if (existsSync('/etc/ld.so.cache')) copyFileSync('/etc/ld.so.cache', join(etc, 'ld.so.cache'))
  // Under /tmp the checkout's own node may be out of the agent's reach.
  copyFileSync(process.execPath, join(node, 'node'))
  const hash = sha256(readFileSync(bundle))
  copyFileSync(bundle, join(opt, 'agentctl/runner', `${hash}.cjs`))
  symlinkSync(`${hash}.cjs`, join(opt, 'agentctl/runner/current'))
  writeFileSync(join(run, 'agentctl/bootstrap'), machine.server.bootstrapToken, { mode: 0o600 })
  await machine.server.start()
  machine.server.desired.runner = { sha256: hash }
  machine.server.desire(machine.server.release('rel_1', { 'index.js': prying }, { start: 'node index.js' }))
  const sandbox = [
    ...['/usr', '/bin', '/lib', '/lib64', '/sbin'].flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--bind', etc, '/etc', '--bind', opt, '/opt', '--bind', run, '/run', '--ro-bind', node, '/node'],
    ...['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '--unshare-pid', '--die-with-parent'],
  ]
  try {
    execFileSync('bwrap', [...sandbox, '/bin/true'], { stdio: 'pipe' })
  } catch {
    skip('bubblewrap may not make a sandbox here')
  }
  machine.supervised = false
  machine.runner = spawn(
    'bwrap',
    [...sandbox, '/node/node', '/opt/agentctl/runner/current', '--api', machine.server.url],
    { env: {}, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  for (const stream of [machine.runner.stdout, machine.runner.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      machine.output += chunk.toString()
    })
  }
  await machine.reported('rel_1', 'healthy')
  const seen = JSON.parse(await (await machine.fetch()).text())
  expect(seen).toEqual({
    uid: 4321,
    gid: 4321,
    groups: [4321],
    user: 'agent',
    readCredential: 'EACCES',
    listRun: 'EACCES',
    writeRun: 'EACCES',
    writeRunner: 'EACCES',
    replaceRunner: 'EACCES',
    readBlobs: 'EACCES',
    writeReleases: 'EACCES',
    spyOnRunner: 'EACCES',
    stopRunner: 'EPERM',
    writeHome: 'possible',
    writeOwnRelease: 'possible',
    writeStdout: 'possible',
  })
  await until('the line written by the path', () =>
    machine.server.lines.some((line) => line.text === 'by its path'),
  )
})
