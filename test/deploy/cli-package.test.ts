import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { closeServer, listen } from '@agentctl/server/platform/http-server.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_API_URL } from '../../packages/cli/src/api-address.ts'
import { bundlePath, ensureBundle } from '../../packages/cli/src/testing/bundle.ts'
import { servedApi } from '../../packages/server/test/contract/served-api.ts'

const { app } = await servedApi()
const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'agentctl-package-'))
afterAll(() => rmSync(folder, { recursive: true }))
const run = promisify(execFile)
const manifest = JSON.parse(readFileSync(join(root, 'packages/cli/package.json'), 'utf8'))
const tarball = join(folder, `agentctl-${manifest.version}.tgz`)

beforeAll(async () => {
  await ensureBundle()
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  execFileSync('npx', ['--yes', packageManager, 'pack', '--pack-destination', folder], {
    cwd: join(root, 'packages/cli'),
    stdio: 'pipe',
  })
})

const tsup = join(root, 'node_modules/tsup/dist/cli-default.js')
const words = (text: string): string => text.replace(/\s+/g, ' ').trim()
const tar = (how: string, ...args: string[]): string =>
  execFileSync('tar', [how, tarball, ...args], { encoding: 'utf8' })

test('the package has these files and no others', () => {
  expect(tar('-tzf').trim().split('\n').sort()).toMatchInlineSnapshot(`
    [
      "package/LICENSE",
      "package/README.md",
      "package/dist/THIRD-PARTY-NOTICES",
      "package/dist/agentctl.cjs",
      "package/dist/lib/agent-config.mjs",
      "package/dist/lib/conf.mjs",
      "package/dist/lib/ignore.mjs",
      "package/dist/lib/inquirer.mjs",
      "package/dist/lib/ora.mjs",
      "package/dist/lib/ox-hash.mjs",
      "package/dist/lib/ox-keystore.mjs",
      "package/dist/lib/viem-accounts.mjs",
      "package/dist/main.cjs",
      "package/package.json",
    ]
  `)
})

test('every package whose code is in it is named with its licence and the text of it, and no other', async () => {
  const built = join(folder, 'built')
  await run(process.execPath, [tsup, '--metafile', '--out-dir', built], { cwd: join(root, 'packages/cli') })
  const inputs = ['cjs', 'esm'].flatMap((format) => {
    const { outputs } = JSON.parse(readFileSync(join(built, `metafile-${format}.json`), 'utf8'))
    return Object.values<{ inputs: Record<string, { bytesInOutput: number }> }>(outputs).flatMap((output) =>
      Object.entries(output.inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
    )
  })
  const folders = new Set(inputs.flatMap((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []))
  const notices = tar('-xzOf', 'package/dist/THIRD-PARTY-NOTICES')
  const named = [...folders].map((path) => {
    const from = join(root, 'packages/cli', path)
    const licence = readdirSync(from).find((name) => /^licen[cs]e/i.test(name)) ?? 'no licence'
    expect(words(notices), path).toContain(words(readFileSync(join(from, licence), 'utf8')))
    const { name, version, license } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))
    return `${name} ${version} (${license})`
  })
  expect(named.length).toBeGreaterThan(50)
  expect(notices.match(/^\S+ \d+\.\d+\.\d+\S* \(.+\)$/gm)?.sort()).toEqual(named.sort())
  expect(notices.match(/^-{80}$/gm)?.length).toBeLessThan(named.length / 2)
  // Not even the start looks at it: it is there to be read.
  for (const file of ['agentctl.cjs', 'main.cjs']) {
    expect(tar('-xzOf', `package/dist/${file}`)).not.toContain('THIRD-PARTY-NOTICES')
  }
})

test('its README tells how it is installed, commands that there are, and pages that are served', async () => {
  const readme = tar('-xzOf', 'package/README.md')
  expect(readme).toContain(`npm install --global ${manifest.name}\n`)
  expect(readme).toContain(`Node ${manifest.engines.node.replace('>=', '')} or newer`)
  const { commands } = JSON.parse((await run(process.execPath, [bundlePath, 'commands'])).stdout)
  const named = [...readme.matchAll(/`agentctl ([a-z ]*[a-z])/g)].map(([, command = '']) => command)
  expect(named.length).toBeGreaterThan(2)
  expect(commands.map(({ command }: { command: string }) => command)).toEqual(expect.arrayContaining(named))
  const pages = [...readme.matchAll(/<(https:[^>]+)>/g)].map(([, page = '']) => new URL(page))
  expect(pages.map(({ pathname }) => pathname)).toEqual(['/docs', '/policy'])
  for (const { origin, pathname } of pages) {
    expect(origin).toBe(DEFAULT_API_URL)
    expect((await app.request(pathname)).status, pathname).toBe(200)
  }
  // npm shows it where nothing lies beside it.
  expect(readme).not.toMatch(/\]\((?!https:)/)
})

test('nothing is installed along with it, and nothing of it runs when it is installed', () => {
  const packed = JSON.parse(tar('-xzOf', 'package/package.json'))
  const { dependencies, optionalDependencies, peerDependencies, bundleDependencies, scripts } = packed
  expect({ dependencies, optionalDependencies, peerDependencies, bundleDependencies }).toEqual({})
  expect(Object.keys(scripts)).toEqual(['build'])
})

test('installed without a network and without scripts, it talks to a server', async () => {
  const home = join(folder, 'home')
  mkdirSync(home)
  const environment = {
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
    HOME: home,
    npm_config_cache: join(home, 'cache'),
    npm_config_update_notifier: 'false',
    // Nobody answers there.
    npm_config_registry: 'http://127.0.0.1:9',
  }
  await run('npm', ['install', '--ignore-scripts', '--offline', '--no-audit', '--no-fund', tarball], {
    cwd: home,
    env: environment,
  })
  const installed = join(home, 'node_modules')
  const { packages } = JSON.parse(readFileSync(join(installed, '.package-lock.json'), 'utf8'))
  expect(Object.keys(packages)).toEqual(['node_modules/agentctl'])
  const agentctl = (...args: string[]) =>
    run(join(installed, '.bin/agentctl'), args, { cwd: home, env: environment })
  expect(await agentctl('--version')).toEqual({ stdout: `${manifest.version}\n`, stderr: '' })
  expect((await agentctl('--help')).stdout).toContain('agentctl deploy')
  const server = await listen(app.fetch, '127.0.0.1', 0)
  try {
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
    const served = (await (await app.request('/v1/policy')).json()) as { sentences: { id: string }[] }
    const shown = JSON.parse((await agentctl('policy', 'show', '--json', '--api-url', url)).stdout)
    const idsOf = (text: typeof served) => text.sentences.map(({ id }) => id)
    expect(idsOf(shown)).toContain('2g')
    expect(idsOf(shown)).toEqual(idsOf(served))
  } finally {
    await closeServer(server, 0)
  }
})
