import { expect, test } from 'vitest'
import { sentences, shownText } from './policy.ts'
import { policyPage } from './policy-page.ts'
import { hashOfText, policiesAt } from './policy-versions.ts'

const pageOf = async (contact: string) => String(await policyPage(policiesAt(new Date()), contact))

test('every sentence has an id of its own', () => {
  expect(new Set(sentences.map(({ id }) => id)).size).toBe(sentences.length)
})

test('the page shows every sentence under its id and loads nothing from elsewhere', async () => {
  const page = await pageOf('privacy@agentctl.dev')
  for (const { id, text } of sentences) {
    expect(page).toContain(`id="p${id}"`)
    expect(page).toContain(text)
  }
  expect(page).not.toMatch(/src=|<script|@import|url\(/)
})

test('each installation shows its own contact, under the same hash of the same text', async () => {
  const { current } = policiesAt(new Date())
  for (const contact of ['dpo@one.example', 'dpo@two.example']) {
    const page = await pageOf(contact)
    expect(page).toContain(`Write to ${contact} about`)
    expect(page).not.toContain('privacy@agentctl.dev')
    // What is shown is no text of its own: its hash would be another one on each installation.
    expect(hashOfText(shownText(current.text, contact))).not.toBe(current.hash)
  }
  expect(hashOfText(current.text)).toBe(current.hash)
})
