import { html } from 'hono/html'
import { dataMap } from './data-map.ts'
import { keptByClass } from './documents.ts'
import { processors, type Section, shownText } from './policy.ts'
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
li { padding-left: 2.5rem; text-indent: -2.5rem; margin: .25rem 0 }
table { border-collapse: collapse; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0 }
.links li { padding: 0; text-indent: 0 }
.links a { display: inline; opacity: 1 }
li a { display: inline-block; width: 2.5rem; text-indent: 0; opacity: .6; text-decoration: none; color: inherit }
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
  ({ title, sentences }) => html`<section><h2>${title}</h2><ul>
${sentences.map(({ id, text }) => html`<li id="p${id}"><a href="#p${id}">${id}</a>${text}</li>\n`)}</ul></section>\n`,
)}
<section><h2>What there is, kind by kind</h2>
<table><thead><tr><th>kind</th><th>used to</th><th>kept</th></tr></thead><tbody>
${keptByClass(dataMap).map(
  (one) =>
    html`<tr><td>${one.class}</td><td>${one.purposes.join(', ')}</td><td>${one.periods.join('; ')}</td></tr>\n`,
)}</tbody></table></section>
<section><h2>Policies of those who work for us</h2><ul class="links">
${Object.entries(processors).map(([name, url]) => html`<li><a href="${url}">${name}</a></li>\n`)}</ul></section>
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
    ({ id, change, text: words }) => html`<li>${id} (${change}) ${words}</li>\n`,
  )
  return html`<section id="next"><h2>What changes on ${lastUpdated}</h2><ul class="links">
${said}</ul></section>\n`
}

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
