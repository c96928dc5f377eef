import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Options } from 'tsup'

/** By this name it lies beside what was built. */
export const NOTICES = 'THIRD-PARTY-NOTICES'

/** The part of esbuild's metafile that tells how much of each file is in each output. */
interface Metafile {
  outputs: Record<string, { inputs: Record<string, { bytesInOutput: number }> }>
}

/** Folders of the packages of others that have code in what was built; what was read and left out counts for nothing. */
export function foldersOfOthers({ outputs }: Metafile, cwd: string): string[] {
  const folders = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => {
      const [folder] = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []
      return folder && bytesInOutput > 0 ? [resolve(cwd, folder)] : []
    }),
  )
  return [...new Set(folders)]
}

/** Name, version and licence of packages, each with the text that its licence asks to be passed on; equal texts once. */
export function noticesOf(folders: Iterable<string>): string {
  const byText = new Map<string, { text: string; packages: Set<string> }>()
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const text = textIn(folder) ?? textsForAll[license]?.()
    if (typeof license !== 'string' || !text) {
      throw new Error(
        `${name} ${version} does not come with its licence and the text of it, which have to be passed on with its ` +
          `code. Take another package, or a version that has them in ${folder}.`,
      )
    }
    // The same text is often wrapped in another way.
    const key = text.replace(/\s+/g, ' ')
    const known = byText.get(key) ?? { text, packages: new Set() }
    byText.set(key, known)
    known.packages.add(`${name} ${version} (${license})`)
  }
  const parts = [...byText.values()].map(
    ({ text, packages }) => `${[...packages].sort().join('\n')}\n\n${text}\n`,
  )
  return [
    'Code of the packages below is in this software. The text of their licence\nfollows each of them, or those that have the same.\n',
    ...parts.sort(),
  ].join(`\n${'-'.repeat(80)}\n\n`)
}

/** Texts that name nobody, for packages that come without: they are the same for everybody. */
const textsForAll: Record<string, () => string> = {
  // By its address: tsup bundles its configuration, and of where a file lies only that stays true.
  'Apache-2.0': () => read(new URL('../LICENSE', import.meta.url)),
  Unlicense: () => 'In the public domain; no text has to be passed on.',
}

const read = (path: string | URL): string =>
  readFileSync(path, 'utf8')
    .replace(/[ \t\r]+$/gm, '')
    .trim()

const inReadme = /^(?:#+ *)?licen[cs]e *$[\s\S]*?^(.*copyright[\s\S]*permission[\s\S]*)/im

function textIn(folder: string): string | undefined {
  const files = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [entry.name] : [],
  )
  const texts = (name: RegExp) =>
    files.filter((file) => name.test(file)).map((file) => read(join(folder, file)))
  const licences = texts(/^(?:licen[cs]e|copying)/i)
  if (licences.length > 0) return [...licences, ...texts(/^notice/i)].join('\n\n')
  // Some have it at the end of their README; to be told there which licence it is would not be enough.
  return texts(/^readme/i)
    .map((text) => inReadme.exec(text)?.[1])
    .find((text) => text !== undefined)
}

/** Writes the notices beside the bundle; one for all builds of a program, as they share a file. */
export function thirdPartyNotices(): NonNullable<Options['esbuildPlugins']>[number] {
  const folders = new Set<string>()
  return {
    name: 'third-party-notices',
    setup({ initialOptions: { absWorkingDir: cwd = process.cwd(), outdir = '' }, onEnd }) {
      onEnd(({ metafile }) => {
        if (!metafile) return
        for (const folder of foldersOfOthers(metafile, cwd)) folders.add(folder)
        // Builds run side by side: whichever ends last has seen all of it.
        mkdirSync(resolve(cwd, outdir), { recursive: true })
        writeFileSync(resolve(cwd, outdir, NOTICES), noticesOf(folders))
      })
    },
  }
}
