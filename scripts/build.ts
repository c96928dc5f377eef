import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const tsup = join(root, 'node_modules/tsup/dist/cli-default.js')

// The two programs that travel: the CLI to users, the runner to machines. Everything else runs as it is written.
for (const name of ['cli', 'runner']) {
  const folder = join(root, 'packages', name)
  if (!existsSync(join(folder, 'tsup.config.ts'))) throw new Error(`packages/${name} has no tsup.config.ts`)
  const ran = spawnSync(process.execPath, [tsup], { cwd: folder, encoding: 'utf8' })
  if (ran.status !== 0) {
    process.stderr.write(`${ran.stdout}${ran.stderr}`)
    process.exit(ran.status ?? 1)
  }
}

// npm travels to machines as well, in the form in which its registry packs it, the same bytes from the same version.
const packed = join(root, 'packages/runner/dist/npm.tgz')
const sorted = ['--sort=name', '--format=ustar', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
const tar = spawnSync(
  'tar',
  [
    ...sorted,
    ...[
      '--mode=u+rwX,go+rX,go-w',
      '--transform=s,^\\.,package,',
      '--use-compress-program=gzip -n',
      '-cf',
      packed,
    ],
    ...['-C', join(root, 'packages/runner/node_modules/npm'), '.'],
  ],
  { encoding: 'utf8' },
)
if (tar.status !== 0) {
  process.stderr.write(tar.stderr)
  process.exit(1)
}
