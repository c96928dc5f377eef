import { expect, test } from 'vitest'
import { type Section, shownText } from './policy.ts'
import { policyPage } from './policy-page.ts'
import { hashOfText, newestText, policiesAt, policyVersions, startOf } from './policy-versions.ts'

const CONTACT = 'privacy@agentctl.dev'
const pageOf = async (contact: string, now = new Date()) => String(await policyPage(policiesAt(now), contact))
const newestDay = policyVersions.at(-1)?.lastUpdated ?? ''

test('the page shows every sentence under its id and loads nothing from elsewhere', async () => {
  for (const now of [new Date(), startOf(newestDay)]) {
    const page = await pageOf(CONTACT, now)
    // Addresses in it are links.
    const words = page.replaceAll(/<[^>]*>/g, '')
    for (const { id, text } of policiesAt(now).current.text.flatMap(({ sentences }) => sentences)) {
      expect(page).toContain(`id="p${id}"`)
      expect(words).toContain(text)
    }
    expect(page).not.toMatch(/src=|<script|@import|url\(/)
  }
})

/** What is to be read of a page. */
const wordsOf = (page: string): string =>
  page
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
/** All words of a text, in their order. */
const piecesOf = ({ title, sentences, rows = [] }: Section): string[] => [
  title,
  ...sentences.flatMap(({ id, text }) => [id, text]),
  ...rows.flat(),
]

test('the page says nothing beside its text but what it is and its day: no word of it is outside the hash', async () => {
  let rest = wordsOf(await pageOf(CONTACT, startOf(newestDay)))
  let read = ''
  for (const piece of newestText.flatMap(piecesOf)) {
    // Addresses are links, and so stand apart from the words around them.
    for (const part of piece.split(/(https:\/\/\S+[^\s.,])/)) {
      const at = rest.indexOf(part.trim())
      expect(at, part).toBeGreaterThanOrEqual(0)
      read += rest.slice(0, at)
      rest = rest.slice(at + part.trim().length)
    }
  }
  expect(`${read}${rest}`.replace(/\s+/g, ' ')).toBe(
    ` Privacy policy Privacy policy Last updated: ${newestDay} `,
  )
})

test('ahead of its day the page shows what comes, tables as well, and from its first second on that alone', async () => {
  const [first, ...others] = newestText.map(({ rows, ...section }) => section)
  const text = first ? [{ ...first, sentences: first.sentences.slice(1) }, ...others] : []
  const announced = { announcedOn: '2026-11-25', text: newestText }
  const page = async (now: Date) =>
    wordsOf(String(await policyPage(policiesAt(now, { text, versions: policyVersions, announced }), CONTACT)))
  const day = startOf(newestDay)
  const ahead = await page(new Date(day.getTime() - 1))
  const changes = ahead.slice(ahead.indexOf(`What changes on ${newestDay}`))
  expect(changes).toContain(`1 (new) ${first?.sentences[0]?.text}`)
  expect(changes).toContain('pii.phone authenticate a day; as long as the account')
  expect(changes).not.toContain('1a (')
  expect(await page(day)).not.toContain('What changes')
})

test('each installation shows its own contact, under the same hash of the same text', async () => {
  const { current } = policiesAt(new Date())
  for (const contact of ['dpo@one.example', 'dpo@two.example']) {
    const page = await pageOf(contact)
    expect(page).toContain(contact)
    expect(page).not.toContain(CONTACT)
    // What is shown is no text of its own: its hash would be another one on each installation.
    expect(hashOfText(shownText(current.text, contact))).not.toBe(current.hash)
  }
  expect(hashOfText(current.text)).toBe(current.hash)
})
