import { createHash } from 'node:crypto'

const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10
const MESSAGE_BYTES_MAX = 64 * 1024

/**
 * The server's side of RFC 6455 for text messages of up to 64 kB.
 * Answers the handshake and returns `{ send, close }`; `heard` gets each message, `left` is called once at the end.
 */
export function acceptWebSocket(request, socket, head, { heard, left }) {
  const key = request.headers['sec-websocket-key']
  if (!key || request.headers['sec-websocket-version'] !== '13') {
    socket.end('HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n')
    return undefined
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  let waiting = head
  let parts = []
  let closed = false

  const send = (text) => {
    if (!closed) socket.write(frame(TEXT, Buffer.from(text)))
  }
  const close = (code = 1000) => {
    if (closed) return
    closed = true
    const reason = Buffer.alloc(2)
    reason.writeUInt16BE(code)
    socket.end(frame(CLOSE, reason))
  }
  const take = ({ opcode, final, payload }) => {
    if (opcode === PING) socket.write(frame(PONG, payload))
    else if (opcode === CLOSE) close()
    else if (opcode === TEXT || opcode === 0) {
      parts.push(payload)
      if (parts.reduce((bytes, part) => bytes + part.length, 0) > MESSAGE_BYTES_MAX) return close(1009)
      if (!final) return undefined
      const message = Buffer.concat(parts).toString()
      parts = []
      heard(message)
    } else if (opcode !== PONG) close(1003)
    return undefined
  }
  const read = (bytes) => {
    waiting = Buffer.concat([waiting, bytes])
    while (!closed) {
      const next = readFrame(waiting)
      if (next === undefined) return
      if (next === 'refused') return close(1009)
      waiting = waiting.subarray(next.length)
      take(next)
    }
  }
  socket.on('data', read)
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.end())
  socket.once('close', () => {
    closed = true
    left()
  })
  read(Buffer.alloc(0))
  return { send, close }
}

/** The first frame of these bytes; undefined while it is not complete. */
function readFrame(bytes) {
  if (bytes.length < 2) return undefined
  const masked = (bytes[1] & 0x80) !== 0
  const short = bytes[1] & 0x7f
  if (!masked || short === 127) return 'refused'
  const start = short === 126 ? 4 : 2
  if (bytes.length < start + 4) return undefined
  const size = short === 126 ? bytes.readUInt16BE(2) : short
  const length = start + 4 + size
  if (bytes.length < length) return undefined
  const mask = bytes.subarray(start, start + 4)
  const payload = Buffer.from(bytes.subarray(start + 4, length)).map((byte, at) => byte ^ mask[at % 4])
  return { opcode: bytes[0] & 0x0f, final: (bytes[0] & 0x80) !== 0, payload, length }
}

function frame(opcode, payload) {
  const long = payload.length > 125
  const head = Buffer.alloc(long ? 4 : 2)
  head[0] = 0x80 | opcode
  head[1] = long ? 126 : payload.length
  if (long) head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}
