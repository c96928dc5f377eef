import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { ToolError, tools } from './tools.js'

// Revisions of the Model Context Protocol that this server speaks, newest first.
const PROTOCOLS = ['2025-06-18', '2025-03-26']
const BODY_BYTES_MAX = 256 * 1024
// Without MCP_TOKEN everybody who knows the address may use the tools.
const token = process.env.MCP_TOKEN

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://agent')
  if (pathname === '/health') return reply(response, 200, { status: 'ok' })
  if (pathname !== '/mcp') return reply(response, 404, { error: 'The MCP endpoint is /mcp.' })
  if (!sameOrigin(request)) return reply(response, 403, { error: 'Requests of other web pages are refused.' })
  if (!mayEnter(request)) {
    return reply(response, 401, { error: 'Send the bearer token.' }, { 'www-authenticate': 'Bearer' })
  }
  // This server never speaks first, so it offers no stream and keeps no session.
  if (request.method !== 'POST') return reply(response, 405, { error: 'Use POST.' }, { allow: 'POST' })
  const protocol = request.headers['mcp-protocol-version']
  if (protocol !== undefined && !PROTOCOLS.includes(protocol)) {
    return reply(response, 400, { error: `This server speaks MCP ${PROTOCOLS.join(' and ')}.` })
  }
  let message
  try {
    message = JSON.parse(await bodyOf(request))
  } catch {
    return reply(response, 400, failure(null, -32700, 'The body is not one JSON-RPC message.'))
  }
  const answer = await take(message)
  // A notification or a response is taken without an answer.
  if (answer === undefined) return response.writeHead(202).end()
  return reply(response, 200, answer)
})

server.listen(process.env.PORT ?? 8080, () => {
  process.stdout.write(`Listening on port ${server.address().port}, ${token ? 'with' : 'without'} a token\n`)
})

process.on('SIGTERM', () => server.close(() => process.exit(0)))

async function take(message) {
  if (
    typeof message !== 'object' ||
    message === null ||
    Array.isArray(message) ||
    message.jsonrpc !== '2.0'
  ) {
    return failure(null, -32600, 'Send one JSON-RPC 2.0 message.')
  }
  const { id, method, params = {} } = message
  if (id === undefined || typeof method !== 'string') return undefined
  switch (method) {
    case 'initialize':
      return success(id, {
        protocolVersion: PROTOCOLS.includes(params.protocolVersion) ? params.protocolVersion : PROTOCOLS[0],
        capabilities: { tools: {} },
        serverInfo: { name: 'memory', version: '1.0.0' },
        instructions: 'Keeps short texts between conversations.',
      })
    case 'ping':
      return success(id, {})
    case 'tools/list':
      return success(id, {
        tools: Object.entries(tools).map(([name, { description, inputSchema }]) => ({
          name,
          description,
          inputSchema,
        })),
      })
    case 'tools/call':
      return callTool(id, params)
    default:
      return failure(id, -32601, `There is no method ${method}.`)
  }
}

async function callTool(id, { name, arguments: given = {} }) {
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined
  if (!tool) return failure(id, -32602, `There is no tool ${name}.`)
  try {
    const text = await tool.call(given ?? {})
    process.stdout.write(`${name}\n`)
    return success(id, { content: [{ type: 'text', text }] })
  } catch (error) {
    if (error instanceof ToolError) {
      return success(id, { content: [{ type: 'text', text: error.message }], isError: true })
    }
    process.stderr.write(`${name} failed: ${error.stack}\n`)
    return failure(id, -32603, 'The tool failed.')
  }
}

function success(id, result) {
  return { jsonrpc: '2.0', id, result }
}

function failure(id, code, message) {
  return { jsonrpc: '2.0', id, error: { code, message } }
}

function reply(response, status, document, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(document))
}

/** Programs send no Origin; a page of another site must not use the tools in its reader's name. */
function sameOrigin({ headers }) {
  if (headers.origin === undefined) return true
  return URL.canParse(headers.origin) && new URL(headers.origin).host === headers.host
}

function mayEnter({ headers }) {
  if (!token) return true
  const hash = (text) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(headers.authorization ?? ''), hash(`Bearer ${token}`))
}

async function bodyOf(request) {
  let body = ''
  request.setEncoding('utf8')
  for await (const chunk of request) {
    body += chunk
    if (body.length > BODY_BYTES_MAX) throw new Error('too large')
  }
  return body
}
