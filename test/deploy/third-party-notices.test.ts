import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { billOf } from '../../scripts/bill-of-materials.ts'
import { NOTICES, noticesOf } from '../../scripts/third-party-notices.ts'

const root = join(import.meta.dirname, '../..')
const containerfile = readFileSync(join(root, 'deploy/Containerfile'), 'utf8')
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'agentctl-notices-'))
afterAll(() => rmSync(folder, { recursive: true }))

function makePackage(name: string, license: string | undefined, files: Record<string, string>): string {
  const path = join(folder, 'node_modules', name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'package.json'), JSON.stringify({ name, version: '1.2.3', license }))
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
  return path
}

test('a text that several packages have is written once, and a NOTICE is passed on with it', () => {
  expect(
    noticesOf([
      makePackage('second', 'MIT', { license: 'Do as\r\nyou like.\r\n' }),
      makePackage('noticed', 'Apache-2.0', { 'LICENSE.txt': 'Be fair.', NOTICE: 'Made by us.' }),
      makePackage('@a/first', 'MIT', { 'LICENCE.md': 'Do as you like.' }),
    ]),
  ).toMatchInlineSnapshot(`
    "Code of the packages below is in this software. The text of their licence
    follows each of them, or those that have the same.

    --------------------------------------------------------------------------------

    @a/first 1.2.3 (MIT)
    second 1.2.3 (MIT)

    Do as
    you like.

    --------------------------------------------------------------------------------

    noticed 1.2.3 (Apache-2.0)

    Be fair.

    Made by us.
    "
  `)
})

test('a package without a licence or without its text is refused by name', () => {
  const refusal = (license: string | undefined, files: Record<string, string>): string => {
    const path = makePackage('bare', license, files)
    try {
      return noticesOf([path])
    } catch (error) {
      return String(error).replace(path, '…')
    } finally {
      rmSync(path, { recursive: true })
    }
  }
  expect(refusal('MIT', { 'README.md': 'Bare' })).toMatchInlineSnapshot(
    `"Error: bare 1.2.3 does not come with its licence and the text of it, which have to be passed on with its code. Take another package, or a version that has them in …."`,
  )
  expect(refusal('MIT', { LICENSE: ' ' })).toMatch(/^Error: bare 1\.2\.3 /)
  expect(refusal('MIT', { NOTICE: 'Made by us.' })).toMatch(/^Error: bare 1\.2\.3 /)
  expect(refusal(undefined, { LICENSE: 'Do as you like.' })).toMatch(/^Error: bare 1\.2\.3 /)
})

test('a text at the end of a README counts, and so does one that is the same for everybody', () => {
  const readme =
    '# Small\n\nSee the license.\n\n## License\n\n(MIT)\n\nCopyright Ada\n\nPermission is granted.\n'
  const notices = noticesOf([
    makePackage('small', 'MIT', { 'README.md': readme }),
    makePackage('apache', 'Apache-2.0', { 'README.md': 'License: Apache' }),
    makePackage('free', 'Unlicense', {}),
  ])
  expect(notices).toContain('\nsmall 1.2.3 (MIT)\n\nCopyright Ada\n\nPermission is granted.\n')
  expect(notices).toContain('\napache 1.2.3 (Apache-2.0)\n\nApache License\n')
  expect(notices).toContain('\nfree 1.2.3 (Unlicense)\n\nIn the public domain')
})

test('the image has the texts of all packages that are in it, beside its own', async () => {
  const [, script = ''] = /node \S+ (scripts\/\S+) > THIRD-PARTY-NOTICES/.exec(containerfile) ?? []
  const { stdout } = await run(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    join(root, script),
  ])
  const components: { 'bom-ref': string }[] = JSON.parse(billOf(root, 'server')).components
  const wanted = components.map((one) => one['bom-ref']).filter((id) => !id.startsWith('node@'))
  const named = [...stdout.matchAll(/^(\S+) (\d+\.\d+\.\d+\S*) \(.+\)$/gm)].map(
    ([, name, at]) => `${name}@${at}`,
  )
  expect(named.sort()).toEqual(wanted.sort())
  expect(containerfile).toMatch(/^COPY LICENSE /m)
  // What installs the packages that travel takes the others away.
  expect(containerfile.indexOf(script)).toBeLessThan(containerfile.indexOf('rm -rf node_modules'))
})

test('a build with code of such a package fails, and one that leaves its code out does not', async () => {
  makePackage('bare', 'MIT', {
    'index.js': 'export const used = () => Date.now(); export const unused = 1',
  })
  const notices = JSON.stringify(join(root, 'scripts/third-party-notices.ts'))
  writeFileSync(
    join(folder, 'tsup.config.ts'),
    `import { thirdPartyNotices } from ${notices}
    export default { entry: ['main.js'], noExternal: [/.*/], esbuildPlugins: [thirdPartyNotices()] }`,
  )
  const build = (source: string) => {
    writeFileSync(join(folder, 'main.js'), source)
    return run(process.execPath, [join(root, 'node_modules/tsup/dist/cli-default.js')], { cwd: folder })
  }
  await expect(build(`import { used } from 'bare'; console.log(used())`)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('bare 1.2.3 does not come with its licence'),
  })
  expect(existsSync(join(folder, 'dist', NOTICES))).toBe(false)
  makePackage('kept', 'Apache-2.0', { 'index.js': 'export const kept = () => Date.now()' })
  await build(`import 'bare'; import { kept } from 'kept'; console.log(kept())`)
  const written = readFileSync(join(folder, 'dist', NOTICES), 'utf8')
  expect(written).toContain('\nkept 1.2.3 (Apache-2.0)\n\nApache License\n')
  expect(written).not.toContain('bare')
})
