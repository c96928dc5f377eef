import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cloud, startCloud } from '../../scripts/cloud.ts'
import { playPage } from './play-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'agentctl-journeys-'))
let cloud: Cloud

beforeAll(async () => {
  cloud = await startCloud({ dataDir: join(folder, 'cloud'), port: 0, routerPort: 0, log: () => {} })
}, 120_000)

afterAll(async () => {
  await cloud?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const pages = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.md'))
  .sort()

describe('journeys', () => {
  for (const page of pages) {
    test(page, { timeout: 300_000 }, () => playPage(page, cloud, folder))
  }

  test('the README of the npm package', { timeout: 300_000 }, () =>
    playPage('../../packages/cli/README.md', cloud, folder, {
      AGENTCTL_PRIVATE_KEY: cloud.wallets[5]?.privateKey ?? '',
    }),
  )

  test('there are pages', () => expect(pages.length).toBeGreaterThan(0))
})
