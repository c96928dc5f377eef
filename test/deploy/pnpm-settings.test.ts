import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '../..')
const text = (path: string): string => readFileSync(join(root, path), 'utf8')
const settings = parse(text('pnpm-workspace.yaml'))
const { packageManager, scripts } = JSON.parse(text('package.json'))

test('no package runs code at its installation, and what is new waits for three days', () => {
  expect(settings).toMatchObject({
    strictDepBuilds: true,
    minimumReleaseAge: 4320,
    trustPolicy: 'no-downgrade',
    blockExoticSubdeps: true,
    saveExact: true,
  })
  expect(Object.values(settings.allowBuilds).every((may) => may === false)).toBe(true)
  // Older names of the same would let something through beside them.
  for (const name of [
    'onlyBuiltDependencies',
    'dangerouslyAllowAllBuilds',
    'minimumReleaseAgeExclude',
    'trustPolicyExclude',
  ])
    expect(settings, name).not.toHaveProperty(name)
  expect(existsSync(join(root, '.npmrc'))).toBe(false)
})

test('versions are exact, everywhere, and everything installs what the lockfile says', () => {
  const manifests = [
    'package.json',
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/package.json`),
  ]
  for (const path of manifests) {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(text(path))
    for (const [name, version] of Object.entries({
      ...dependencies,
      ...devDependencies,
      ...optionalDependencies,
    }))
      expect(version, `${path}: ${name}`).toMatch(/^(?:\d+\.\d+\.\d+(?:-[\w.]+)?|workspace:\*)$/)
  }
  const installs = [
    text('scripts/run.mjs'),
    ...text('deploy/Containerfile')
      .split('\n')
      .filter((line) => / install /.test(line)),
  ]
  for (const one of installs) expect(one).toMatch(/--frozen-lockfile/)
  expect(text('deploy/Containerfile').match(/pnpm@[\d.]+/g)).toEqual([packageManager, packageManager])
})

test('a package with a script that nobody has read stops the installation, and its script does not run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-installs-'))
  const ran = join(folder, 'ran')
  const scripted = { name: 'scripted', version: '1.0.0', scripts: { postinstall: `touch ${ran}` } }
  const write = (path: string, value: unknown): void =>
    writeFileSync(join(folder, path), JSON.stringify(value))
  const install = (allowBuilds: Record<string, boolean>): { status: number | null; said: string } => {
    const { packages, patchedDependencies, ...rest } = settings
    write('pnpm-workspace.yaml', { ...rest, allowBuilds: { ...rest.allowBuilds, ...allowBuilds } })
    rmSync(join(folder, 'node_modules'), { recursive: true, force: true })
    const { status, stdout, stderr } = spawnSync(
      'npx',
      ['--yes', packageManager, 'install', '--offline', '--no-frozen-lockfile'],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, CI: 'true' },
      },
    )
    return { status, said: stdout + stderr }
  }
  try {
    mkdirSync(join(folder, 'package'))
    write('package/package.json', scripted)
    execFileSync('tar', ['-czf', 'scripted.tgz', 'package'], { cwd: folder })
    write('package.json', { name: 'root', private: true, dependencies: { scripted: 'file:scripted.tgz' } })
    const stopped = install({})
    expect(stopped.said).toContain('ERR_PNPM_IGNORED_BUILDS')
    expect(stopped.status).not.toBe(0)
    expect(existsSync(ran)).toBe(false)
    expect(install({ scripted: false }).status).toBe(0)
    expect(existsSync(ran)).toBe(false)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a signal for npm reaches what it runs: no shell and no shim stands between, which would end alone', () => {
  for (const script of Object.values(scripts)) expect(script).toMatch(/^exec "\$npm_node_execpath" scripts\//)
})
