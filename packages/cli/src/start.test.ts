import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundlePath, ensureBundle } from './testing/bundle.ts'

let folder: string
let hook: string
beforeAll(async () => {
  await ensureBundle()
  folder = mkdtempSync(join(tmpdir(), 'agentctl-start-'))
  hook = join(folder, 'hook.mjs')
  writeFileSync(
    hook,
    `import { registerHooks } from 'node:module'
import { writeSync } from 'node:fs'
registerHooks({ resolve(specifier, context, next) {
  const found = next(specifier, context)
  writeSync(2, 'loaded ' + found.url + '\\n')
  return found
} })
const late = process.getBuiltinModule
process.getBuiltinModule = (name) => { writeSync(2, 'loaded ' + name + '\\n'); return late(name) }
`,
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Everything that a run loads: our files by their name, parts of Node by theirs. */
function loadedBy(...args: string[]): string[] {
  const ran = spawnSync(process.execPath, ['--import', pathToFileURL(hook).href, bundlePath, ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
  })
  expect({ args, status: ran.status }).toEqual({ args, status: 0 })
  const names = [...ran.stderr.matchAll(/^loaded (.*)$/gm)].map(([, url = '']) =>
    url.startsWith('file:') ? basename(url) : url.replace(/^(node:)?/, 'node:'),
  )
  return [...new Set(names)].sort()
}

/** Each of these Node has loaded by itself before, or loads in no time. */
const light = ['node:events', 'node:fs', 'node:os', 'node:path', 'node:process', 'node:url', 'node:util']

test('--help and --version load one small file and nothing else', () => {
  // Both parts of Node are there before any program starts.
  expect(loadedBy('--version')).toEqual(['agentctl.cjs', 'node:fs', 'node:module'])
  expect(loadedBy('--help')).toEqual(['agentctl.cjs', 'node:fs', 'node:module'])
})

test('a result that finds no room on the disk is no success', ({ skip }) => {
  skip(!existsSync('/dev/full'), 'only Linux has a device that is always full')
  const full = openSync('/dev/full', 'w')
  for (const [words, told] of [
    [['commands'], /^error: The result could not be written to stdout \(ENOSPC\)\n/],
    [['commands', '--json'], /^\{"error":\{"code":"unexpected",.*\}\}\n$/],
  ] as const) {
    const ran = spawnSync(process.execPath, [bundlePath, ...words], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    })
    expect({ words, status: ran.status }).toEqual({ words, status: 1 })
    expect(ran.stderr).toMatch(told)
  }
  closeSync(full)
})

test('a reader that left before the help was written is no fault', async () => {
  const child = spawn(process.execPath, [bundlePath, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const said = await text(child.stderr)
  expect({ code: child.exitCode ?? (await once(child, 'exit'))[0], said }).toEqual({ code: 0, said: '' })
})

test.each([
  ['deploy', '--help'],
  ['agents', '--help'],
  ['login', '--help'],
  ['completion', 'zsh'],
  ['commands', '--json'],
  ['init', 'bot', '--template', 'python'],
])('%s %s loads no wallet, prompt, config or HTTP library', (...args) => {
  expect(loadedBy(...args.filter((arg) => arg !== undefined))).toEqual(
    ['agentctl.cjs', 'main.cjs', 'node:module', ...light].sort(),
  )
})
