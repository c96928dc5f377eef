import { sha256 } from './calls.ts'

/** An agent that speaks server-sent events and WebSocket, and logs what it is told. */
export const chatter = `
const { createServer } = require('node:http')
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://x')
  if (pathname === '/say') console.log('line', searchParams.get('n'))
  if (pathname !== '/events') return response.end('generation ' + require('./generation.json'))
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const timer = setInterval(() => response.write('data: tick\\n\\n'), 100)
  response.on('close', () => clearInterval(timer))
})
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
  socket.on('data', (data) => socket.write(data))
  socket.on('error', () => {})
})
server.listen(process.env.PORT)
`

const config = {
  size: 'small',
  install: null,
  start: 'node index.cjs',
  port: null,
  health: { path: '/', timeoutSeconds: 30 },
  env: {},
  domains: [],
}
/** A release whose generation anybody can ask for. */
export const manifestOf = (generation: string) => ({
  name: 'chatter',
  config,
  files: Object.entries({ 'index.cjs': chatter, 'generation.json': generation }).map(([path, content]) => ({
    path,
    sha256: sha256(content),
    size: Buffer.byteLength(content),
    executable: false,
  })),
})
