import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** They take a minute and more each: begun last, they would keep one core waiting at the end. */
const LONG =
  /\/test\/(many-servers|journeys|canary|providers|contract)\/|\/(live-smoke|deposit|suspension)\.test\.ts$/

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = (file: TestSpecification) => LONG.test(file.moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

const crashTests = 'test/crash/**/*.test.ts'

export default defineConfig({
  test: {
    globalSetup: ['test/postgres.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // Node itself runs the TypeScript, in the tests as in production.
    experimental: { viteModuleRunner: false },
    // Real databases, machines and processes share two cores. Each crash test keeps one of them busy; the others often
    // wait for each other's pauses.
    projects: [
      {
        extends: true,
        test: { name: 'crash', include: [crashTests], maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: 'others',
          include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [crashTests],
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
