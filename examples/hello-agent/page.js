const escapeHtml = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

export const page = ({ greeting, visits, upSeconds }) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(greeting)}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2330; --soft: #667085; --paper: #f6f5f1; --card: #fff; --mark: #0f766e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceae4; --soft: #98a2b3; --paper: #14161a; --card: #1d2026; --mark: #5eead4 }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 30rem; padding: 2.25rem; border-radius: 1rem; background: var(--card);
  box-shadow: 0 1px 2px #0002, 0 12px 32px -16px #0004 }
h1 { margin: 0 0 .5rem; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; text-wrap: balance }
p { margin: 0; color: var(--soft) }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: 1.75rem 0 }
dt { color: var(--soft); font-size: .875rem }
dd { margin: 0; font-size: 2rem; font-weight: 650; font-variant-numeric: tabular-nums; color: var(--mark) }
code { font: .9em ui-monospace, monospace }
</style>
</head>
<body>
<main>
<h1>${escapeHtml(greeting)}</h1>
<p>This agent runs on a machine of its own. The count is kept in its home directory, so it outlives every release.</p>
<dl>
<div><dt>Visits</dt><dd id="visits">${visits}</dd></div>
<div><dt>Seconds up</dt><dd id="up">${upSeconds}</dd></div>
</dl>
<p>Both numbers follow <code>/events</code> as they change.</p>
</main>
<script>
const show = ({ visits, upSeconds }) => {
  document.getElementById('visits').textContent = visits
  document.getElementById('up').textContent = upSeconds
}
new EventSource('/events').addEventListener('state', (event) => show(JSON.parse(event.data)))
</script>
</body>
</html>
`
