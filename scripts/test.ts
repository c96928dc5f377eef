import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const root = dirname(import.meta.dirname)
const specs = resolve(process.env.AGENTCTL_SPECS_DIR || join(root, '../shared/specs'))

process.stdout.write(`Node ${process.version}, ${process.platform}-${process.arch}, user ${process.getuid?.() === 0 ? 'root' : process.getuid?.()}
${existsSync(specs) ? "The providers' documents are here: the stand-ins are checked against them." : "The providers' documents are not here: checks of the stand-ins against them are skipped."}
`)
// Arguments name files to run, as with vitest itself.
const ran = spawnSync(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
process.exit(ran.status ?? 1)
