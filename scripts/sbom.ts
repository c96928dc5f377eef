import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { billOf, shipped } from './bill-of-materials.ts'

// A bill of materials for each thing that is shipped, in a folder that may be given: dist/sbom.
const root = dirname(import.meta.dirname)
const folder = process.argv[2] ?? join(root, 'dist/sbom')
mkdirSync(folder, { recursive: true })
for (const name of shipped) {
  const path = join(folder, `${name}.cdx.json`)
  writeFileSync(path, billOf(root, name))
  process.stdout.write(`${relative(process.cwd(), path)}\n`)
}
