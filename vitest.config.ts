import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/postgres.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real databases, machines and processes share two cores.
    maxWorkers: 2,
    pool: 'forks',
    // Node itself runs the TypeScript, in the tests as in production.
    experimental: { viteModuleRunner: false },
  },
})
