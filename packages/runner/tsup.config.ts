import { defineConfig } from 'tsup'

// One file without dependencies, readable on the machine, the same bytes from the same sources: machines fetch it by
// its hash.
export default defineConfig({
  entry: { runner: 'src/main.ts' },
  outDir: 'dist',
  format: ['cjs'],
  outExtension: () => ({ js: '.cjs' }),
  target: 'node22',
  platform: 'node',
  bundle: true,
  splitting: false,
  minify: false,
  sourcemap: false,
  dts: false,
  shims: false,
  clean: true,
  silent: true,
})
