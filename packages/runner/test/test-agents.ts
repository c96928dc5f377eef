/** Tiny agents for the tests, as source text. */
export const answering = (text: string): string => `
const http = require('node:http')
http.createServer((request, response) => {
  setTimeout(() => response.end(${JSON.stringify(text)}), 20)
}).listen(process.env.PORT)
`

/** Everything that a proxy can get wrong, at paths of its own. */
export const manySided = `
const http = require('node:http')
const crypto = require('node:crypto')
let aborted = 0
let connections = 0
let hangUps = 0
const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://agent')
  if (url.pathname === '/health') return response.end('ok')
  if (url.pathname === '/headers') return response.end(JSON.stringify(request.rawHeaders))
  if (url.pathname === '/environment') return response.end(JSON.stringify({ env: process.env, uid: process.getuid(), gids: process.getgroups(), cwd: process.cwd() }))
  if (url.pathname === '/aborted') return response.end(String(aborted))
  if (url.pathname === '/cookies') {
    response.writeHead(201, 'Made Up', { 'set-cookie': ['a=1', 'b=2'], 'x-own': 'yes' })
    return response.end()
  }
  if (url.pathname === '/upload') {
    const hash = crypto.createHash('sha256')
    let bytes = 0
    request.on('data', (chunk) => { hash.update(chunk); bytes += chunk.length })
    request.on('end', () => response.end(JSON.stringify({ bytes, sha256: hash.digest('hex') })))
    return
  }
  if (url.pathname === '/download') {
    let left = Number(url.searchParams.get('megabytes'))
    const chunk = Buffer.alloc(1024 * 1024, 'd')
    const more = () => {
      while (left > 0) { left--; if (!response.write(chunk)) return response.once('drain', more) }
      response.end()
    }
    return more()
  }
  if (url.pathname === '/echo') return request.pipe(response)
  if (url.pathname === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    response.on('close', () => { aborted++ })
    // The next event is sent when the reader asks for it, so that buffering anywhere is a deadlock.
    events.push(response)
    return
  }
  if (url.pathname === '/send') {
    for (const one of events) one.write('data: ' + url.searchParams.get('text') + '\\n\\n')
    return response.end()
  }
  if (url.pathname === '/cut') {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('half')
    return setTimeout(() => response.destroy(), 20)
  }
  if (url.pathname === '/silent') return request.socket.destroy()
  if (url.pathname === '/crash') { response.end('bye'); return setTimeout(() => process.exit(3), 20) }
  if (url.pathname === '/trailers') {
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { trailer: 'x-sum', 'x-agentctl-reason': 'stopped' })
      response.write('body')
      response.addTrailers({ 'x-sum': 'got ' + request.trailers['x-own-sum'] + ' for one who takes ' + request.headers.te })
      response.end()
    })
    return
  }
  if (url.pathname === '/connections') return response.end(String(connections))
  if (url.pathname === '/hang-up') {
    // Without a word of it: the connection looks as if it could be used again, though nobody said for how long.
    response.setHeader('connection', 'keep-alive')
    response.end(request.method + ' ' + ++hangUps)
    return response.once('finish', () => request.socket.destroySoon())
  }
  if (url.pathname === '/keep-and-refuse') { response.writeHead(413); return response.end('too much') }
  if (url.pathname === '/early') { response.writeHead(413, { connection: 'close' }); return response.end('too much') }
  if (url.pathname === '/log') {
    for (let i = 0; i < Number(url.searchParams.get('lines')); i++) console.log('line ' + i)
    return response.end()
  }
  response.writeHead(404).end()
})
const events = []
server.on('connection', () => { connections++ })
server.on('upgrade', (request, socket, head) => {
  if (request.url === '/no') return socket.end('HTTP/1.1 426 Upgrade Required\\r\\nx-why: no\\r\\ncontent-length: 2\\r\\n\\r\\nno')
  const key = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + key + '\\r\\n\\r\\n')
  socket.write(head)
  // Frames go back as they came: a client's mask is removed by hand below.
  let buffered = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, chunk])
    for (;;) {
      if (buffered.length < 6) return
      const length = buffered[1] & 127
      if (buffered.length < 6 + length) return
      const mask = buffered.subarray(2, 6)
      const text = Buffer.from(buffered.subarray(6, 6 + length)).map((byte, i) => byte ^ mask[i % 4])
      socket.write(Buffer.concat([Buffer.from([buffered[0], length]), text]))
      if ((buffered[0] & 15) === 8) socket.end()
      buffered = buffered.subarray(6 + length)
    }
  })
  socket.on('error', () => {})
})
server.listen(process.env.PORT, () => console.log('many-sided agent listens'))
`
