import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { problems } from '@agentctl/contract/problems.ts'
import { problemBody } from '../platform/answers.ts'
import { Problem } from '../platform/problem.ts'
import type { Refusal } from './refusal.ts'

const STYLE = `
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#5c6370;--paper:#fbfbfa;--line:#e3e3df;--mark:#b4540a}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e6;--soft:#9aa0aa;--paper:#17181a;--line:#303236;--mark:#f0a35e}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--paper);color:var(--ink);font:1.0625rem/1.55 system-ui,sans-serif}
main{width:100%;max-width:34rem}
.status{margin:0;color:var(--mark);font-weight:600;font-variant-numeric:tabular-nums}
h1{margin:.25rem 0 .75rem;font-size:1.625rem;line-height:1.2;letter-spacing:-.01em;text-wrap:balance}
p{margin:0 0 1rem}
code{display:inline-block;max-width:100%;font:.9em ui-monospace,monospace;padding:.1em .35em;border:1px solid var(--line);border-radius:.3em;overflow-wrap:anywhere}
footer{margin-top:2rem;padding-top:.75rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8125rem;overflow-wrap:anywhere}
`.trim()

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** Answers instead of the agent: a page to browsers, a problem document to everybody else. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  requestId: string,
): void {
  const { status } = problems[refusal.code]
  const html = prefersHtml(request.headers.accept)
  const text = html ? page(refusal, status, requestId) : document(refusal, requestId)
  response.writeHead(status, {
    'content-type': html ? 'text/html; charset=utf-8' : 'application/problem+json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    vary: 'accept',
    'x-request-id': requestId,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    ...(refusal.retryAfterSeconds === undefined ? {} : { 'retry-after': String(refusal.retryAfterSeconds) }),
  })
  response.end(request.method === 'HEAD' ? undefined : text)
}

function document(refusal: Refusal, requestId: string): string {
  const problem = new Problem(refusal.code, `${refusal.title}. ${refusal.detail}`, { fix: refusal.fix })
  return JSON.stringify({ ...problemBody(problem, requestId), reason: refusal.reason })
}

function page(refusal: Refusal, status: number, requestId: string): string {
  // A page about an agent that is starting turns into the agent by itself.
  const again = refusal.reason === 'starting' ? '<meta http-equiv="refresh" content="3">\n' : ''
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
${again}<title>${escapeHtml(refusal.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<p class="status">${status}</p>
<h1>${escapeHtml(refusal.title)}</h1>
<p>${escapeHtml(refusal.detail)}</p>
<p>${escapeHtml(refusal.fix).replace(/agentctl [a-z0-9 -]+/, '<code>$&</code>')}</p>
<footer>Request ${escapeHtml(requestId)}</footer>
</main>
</body>
</html>
`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** Browsers name text/html; programs name JSON or do not care. */
function prefersHtml(accept: string | undefined): boolean {
  const html = quality(accept, ['text/html', 'application/xhtml+xml'])
  return html > 0 && html >= quality(accept, ['application/json', 'application/problem+json'])
}

function quality(accept: string | undefined, types: readonly string[]): number {
  const weights = (accept ?? '').split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    if (!types.includes(type)) return 0
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    return weight === undefined ? 1 : Number(weight) || 0
  })
  return Math.max(...weights)
}
