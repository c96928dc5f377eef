import { html } from 'hono/html'
import { type Section, shownText } from './policy.ts'
import type { Policies } from './policy-versions.ts'

/** The policy as a page: no script, nothing from elsewhere, readable on a phone, by day and by night. */
export function policyPage(policies: Policies, contact: string) {
  const { current, announced } = shownPolicies(policies, contact)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Privacy policy</title>
<style>
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
ul { list-style: none; padding: 0; margin: 0 }
li { margin: .25rem 0 }
li[id] { padding-left: 2.5rem; text-indent: -2.5rem }
li[id] > a:first-child { display: inline-block; width: 2.5rem; text-indent: 0; opacity: .6; text-decoration: none; color: inherit }
table { border-collapse: collapse; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0 }
</style>
</head>
<body>
<h1>Privacy policy</h1>
<p>Last updated: <time>${current.lastUpdated}</time></p>
${
  announced
    ? html`<p>From <time>${announced.lastUpdated}</time> on another text holds: <a href="#next">what changes</a>.</p>
`
    : ''
}${current.text.map(
  ({ title, sentences, rows }) => html`<section><h2>${title}</h2><ul>
${sentences.map(({ id, text }) => html`<li id="p${id}"><a href="#p${id}">${id}</a>${linked(text)}</li>\n`)}</ul>
${rows ? table(rows) : ''}</section>\n`,
)}
${announced ? nextText(current.text, announced) : ''}</body>
</html>`
}

function shownPolicies({ current, announced }: Policies, contact: string): Policies {
  const shown = <T extends { text: readonly Section[] }>(one: T): T => ({
    ...one,
    text: shownText(one.text, contact),
  })
  return { current: shown(current), announced: announced && shown(announced) }
}

function nextText(now: readonly Section[], { lastUpdated, text }: NonNullable<Policies['announced']>) {
  const said = changesOf(now, text).map(
    ({ id, change, text: words }) => html`<li>${id} (${change}) ${linked(words)}</li>\n`,
  )
  const tables = new Set(now.map(({ rows }) => JSON.stringify(rows)))
  const others = text.flatMap(({ rows }) => (rows && !tables.has(JSON.stringify(rows)) ? [table(rows)] : []))
  return html`<section id="next"><h2>What changes on ${lastUpdated}</h2><ul>
${said}</ul>
${others}</section>\n`
}

function table([head = [], ...rows]: NonNullable<Section['rows']>) {
  return html`<table><thead><tr>${head.map((cell) => html`<th>${cell}</th>`)}</tr></thead><tbody>
${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>\n`)}</tbody></table>`
}

/** Addresses in a sentence can be followed; each second part is one. */
const linked = (text: string) =>
  text
    .split(/(https:\/\/\S+[^\s.,])/)
    .map((part, at) => (at % 2 === 1 ? html`<a href="${part}">${part}</a>` : part))

/** What a reader of one text has to read of another. */
function changesOf(from: readonly Section[], to: readonly Section[]) {
  const [before, after] = [from, to].map(
    (text) => new Map(text.flatMap(({ sentences }) => sentences).map(({ id, text: words }) => [id, words])),
  ) as [Map<string, string>, Map<string, string>]
  return [
    ...[...after].flatMap(([id, text]) =>
      before.get(id) === text ? [] : [{ id, change: before.has(id) ? 'changed' : 'new', text }],
    ),
    ...[...before].flatMap(([id, text]) => (after.has(id) ? [] : [{ id, change: 'gone', text }])),
  ]
}
