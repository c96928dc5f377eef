import type { Answer, JsonSchema, OpenApiDocument, Operation, Parameter } from '@agentctl/contract/openapi.ts'
import { html, raw } from 'hono/html'
import { docsStyle } from './docs-style.ts'
import { type Field, fieldsOf, type Type, typeOf } from './schema-fields.ts'

interface Endpoint {
  method: string
  path: string
  operation: Operation
}

/** The document of the API as a page: no script, nothing from elsewhere, readable on a phone, on paper, by day and by night. */
export async function docsPage(document: OpenApiDocument): Promise<string> {
  const endpoints = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]): Endpoint => ({ method: method.toUpperCase(), path, operation }),
    ),
  )
  const groups = document.tags.map((tag) => ({
    ...tag,
    endpoints: endpoints.filter(({ operation }) => operation.tags.includes(tag.name)),
  }))
  const shapes = Object.entries(document.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1))
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>agentctl API</title>
<style>${raw(docsStyle)}</style>
</head>
<body>
<header>
<h1>agentctl API</h1>
<p>Version ${String(document.info.version)} at <code>${document.servers[0]?.url}</code>, also as <a href="/openapi.json">OpenAPI 3.1</a>. See the <a href="/policy">privacy policy</a>.</p>
</header>
<nav aria-label="Endpoints">${groups.map(
    ({ name, endpoints }) => html`<details open><summary><a href="#${anchor(name)}">${name}</a></summary><ul>
${endpoints.map(({ operation }) => html`<li><a href="#${operation.operationId}">${operation.operationId}</a></li>\n`)}</ul></details>\n`,
  )}<p><a href="#shapes">Shapes</a></p></nav>
<main>
${introduction(document)}
${groups.map(
  ({
    name,
    description,
    endpoints,
  }) => html`<section id="${anchor(name)}"><h2>${name}</h2><p>${description}</p>
${endpoints.map((endpoint) => shownEndpoint(document, endpoint))}</section>\n`,
)}
<section id="shapes"><h2>Shapes</h2>
${shapes.map(
  ([name, schema]) =>
    html`<article id="shape-${name}"><h3>${name}</h3>${
      schema.description ? html`<p>${String(schema.description)}</p>` : ''
    }${fieldTable(fieldsOf(schema))}</article>\n`,
)}</section>
</main>
</body>
</html>`
  return String(await page)
}

function introduction(document: OpenApiDocument) {
  const url = document.servers[0]?.url
  return html`<section><h2>How to ask</h2>
<p>JSON in and out, times in UTC, amounts in millionths of a US dollar as strings. Log in with <code>agentctl login</code>, or make a key with <code>agentctl keys create</code>, and send it with each request:</p>
<pre>curl ${url}/v1/agents -H "authorization: Bearer $AGENTCTL_API_KEY"</pre>
<p>A refusal is <code>application/problem+json</code>: <code>code</code> for programs, <code>detail</code> and <code>fix</code> for people, <code>requestId</code> to name when you report it. Fields and queries that an endpoint does not know are refused, not ignored. What belongs to somebody else looks as if it did not exist.</p>
<p>Each answer says in <code>RateLimit</code> what is left to you for this minute; after a 429 or 503, wait as many seconds as <code>Retry-After</code> says.</p>
<p>Where an <code>Idempotency-Key</code> is asked for, make up a random one for each thing that you want done and send the same again with each retry: it is done once, and its answer kept for 24 hours.</p>
</section>`
}

function shownEndpoint(document: OpenApiDocument, { method, path, operation }: Endpoint) {
  const [media, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? []
  return html`<article id="${operation.operationId}">
<h3><a href="#${operation.operationId}"><span class="method ${method.toLowerCase()}">${method}</span> <code>${breakable(path)}</code></a></h3>
<p>${operation.summary}.</p>
<p class="access">${accessOf(operation)}</p>
${operation.parameters.length > 0 ? fieldTable(operation.parameters.map(parameterField)) : ''}
${body && media ? html`<h4>Body: <code>${media}</code></h4><p class="note">${operation.requestBody?.description}</p>${shownSchema(body.schema)}` : ''}
${body?.example === undefined ? '' : html`<details><summary>Example</summary><pre>${JSON.stringify(body.example, null, 2)}</pre></details>`}
<h4>Answers</h4>
<table class="answers"><tbody>${Object.entries(operation.responses).map(([status, answer]) => shownAnswer(status, resolved(document, answer)))}</tbody></table>
</article>\n`
}

function shownAnswer(status: string, answer: Answer) {
  const [media, content] = Object.entries(answer.content ?? {})[0] ?? []
  if (!status.startsWith('2')) return html`<tr><th>${status}</th><td>${answer.description}</td></tr>\n`
  const line = content?.schema['x-line'] as JsonSchema | undefined
  return html`<tr><th>${status}</th><td>${media ? html`<code>${media}</code>` : 'No content.'}
${line ? html` One ${shownType(typeOf(line))} a line.` : ''}
${content && content.example !== undefined ? html`${shownSchema(content.schema)}<details><summary>Example</summary><pre>${JSON.stringify(content.example, null, 2)}</pre></details>` : ''}</td></tr>\n`
}

function shownSchema(schema: JsonSchema) {
  const fields = fieldsOf(schema)
  return fields.length > 0 ? fieldTable(fields) : html`<p>${shownType(typeOf(schema))}</p>`
}

function fieldTable(fields: readonly Field[]) {
  return html`<table class="fields"><tbody>
${fields.map(
  ({ name, required, type, notes }) =>
    html`<tr><td><code>${breakable(name)}</code>${required ? '' : html` <span class="note">optional</span>`}</td><td>${shownType(type)}</td><td class="note">${notes}</td></tr>\n`,
)}</tbody></table>`
}

function shownType({ text, shape }: Type) {
  if (shape === undefined) return html`${text}`
  const [before = '', after = ''] = text.split(shape)
  return html`${before}<a href="#shape-${shape}">${shape}</a>${after}`
}

function parameterField({ name, in: place, required, description, schema }: Parameter): Field {
  const [field] = fieldsOf({ properties: { [name]: schema } })
  const notes = [`in the ${place}`, description, field?.notes].filter(Boolean).join(' · ')
  return { name, required, type: field?.type ?? { text: 'string' }, notes }
}

function accessOf(operation: Operation): string {
  const scope = operation['x-required-scope']
  const role = operation['x-min-role']
  if (scope !== undefined) {
    return `A login, or a key with the scope ${scope}.${role === undefined ? '' : ` Role: ${role} or above.`}`
  }
  const others: Readonly<Record<string, string>> = {
    public: 'Anybody.',
    account: 'A login, or any key.',
    session: 'A login only, never a key.',
    machine: 'The machine of an agent.',
    operator: 'Operators of the service.',
  }
  return others[operation['x-access']] ?? `Only for: ${operation['x-access']}.`
}

function resolved(document: OpenApiDocument, answer: Answer | { $ref: string }): Answer {
  if (!('$ref' in answer)) return answer
  const found = document.components.responses[answer.$ref.split('/').at(-1) ?? '']
  if (!found) throw new Error(`The document has no ${answer.$ref}.`)
  return found
}

const anchor = (name: string): string => name.toLowerCase().replaceAll(/\W+/g, '-')

/** Long names may break where a reader would. */
const breakable = (text: string) =>
  html`${text.split(/(?<=[./])/).map((part, at) => html`${at === 0 ? '' : raw('<wbr>')}${part}`)}`
