import { expect, test } from 'vitest'
import { sentences } from './policy.ts'
import { policyPage } from './policy-page.ts'
import { policiesAt } from './policy-versions.ts'

test('every sentence has an id of its own', () => {
  expect(new Set(sentences.map(({ id }) => id)).size).toBe(sentences.length)
})

test('the page shows every sentence under its id and loads nothing from elsewhere', async () => {
  const page = String(await policyPage(policiesAt(new Date())))
  for (const { id, text } of sentences) {
    expect(page).toContain(`id="p${id}"`)
    expect(page).toContain(text)
  }
  expect(page).not.toMatch(/src=|<script|@import|url\(/)
})
