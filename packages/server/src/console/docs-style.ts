/** Style of the documentation: two columns where there is room, one on a phone, none of it on paper but the text. */
export const docsStyle = `
:root { --line: color-mix(in srgb, currentColor 18%, transparent); --tint: color-mix(in srgb, currentColor 6%, transparent) }
* { box-sizing: border-box }
html { scroll-padding-top: 1rem }
body { font: 1rem/1.6 system-ui, sans-serif; margin: 0 auto; padding: 2rem 1rem; max-width: 76rem }
h1, h2, h3, h4 { line-height: 1.25 }
h2 { margin: 3rem 0 .5rem; font-size: 1.4rem }
h3 { margin: 0 0 .5rem; font-size: 1.05rem }
h3 a { color: inherit; text-decoration: none }
h4 { margin: 1.25rem 0 .25rem; font-size: .95rem }
p { margin: .5rem 0 }
code, pre { font: .875em/1.5 ui-monospace, monospace }
code { overflow-wrap: anywhere }
pre { padding: .75rem 1rem; background: var(--tint); border-radius: .5rem; overflow-x: auto }
nav ul { list-style: none; margin: 0 0 .5rem; padding: 0 0 0 .75rem; font-size: .875rem }
nav a { color: inherit; text-decoration: none }
nav a:hover, h3 a:hover { text-decoration: underline }
summary { cursor: pointer }
article { padding: 1.5rem 0; border-top: 1px solid var(--line) }
.method { display: inline-block; min-width: 4.2em; padding: .1em .5em; border: 1px solid; border-radius: .3em; font-size: .75rem; text-align: center }
.get { color: light-dark(#1a5fb4, #78aeed) }
.post { color: light-dark(#26753a, #7bd68f) }
.patch, .put { color: light-dark(#8a5a00, #e5b95c) }
.delete { color: light-dark(#b3261e, #f2857d) }
.note, .access { opacity: .75; font-size: .875rem }
table { width: 100%; border-collapse: collapse; margin: .5rem 0; font-size: .9rem }
td, th { padding: .35rem .5rem .35rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere }
tr:first-child > td, tr:first-child > th { border-top: 0 }
.fields { table-layout: fixed }
.fields td:nth-child(1) { width: 34% }
.fields td:nth-child(2) { width: 28% }
.answers th { width: 3.5rem; font-weight: 600 }
@media (min-width: 60rem) {
  body { display: grid; grid-template-columns: 13rem minmax(0, 1fr); column-gap: 3rem }
  header { grid-column: 1 / -1 }
  nav { position: sticky; top: 1rem; align-self: start; max-height: calc(100vh - 2rem); overflow-y: auto }
  main > section:first-child h2 { margin-top: 0 }
}
@media (max-width: 40rem) {
  pre { white-space: pre-wrap; overflow-wrap: anywhere }
  nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: .75rem 0; border-block: 1px solid var(--line) }
  nav ul { display: none }
  nav p { margin: 0 }
  nav summary { list-style: none }
  nav a { text-decoration: underline }
  .fields, .fields tbody, .fields tr, .fields td { display: block; width: auto !important }
  .fields tr { padding: .4rem 0; border-top: 1px solid var(--line) }
  .fields tr:first-child { border-top: 0 }
  .fields td { border: 0; padding: 0 }
}
@media print {
  body { display: block; max-width: none; padding: 0; font-size: 10pt }
  nav { display: none }
  article, tr { break-inside: avoid }
  pre { white-space: pre-wrap }
  details::details-content { content-visibility: visible; display: block }
}
`
