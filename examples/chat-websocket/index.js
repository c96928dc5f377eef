import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { acceptWebSocket } from './websocket.js'

const page = readFileSync(new URL('page.html', import.meta.url))
const MESSAGE_LENGTH_MAX = 500
const REMEMBERED = 50

const people = new Set()
const remembered = []

const server = createServer((request, response) => {
  if (request.url === '/health') response.end('ok')
  else if (request.url === '/') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    response.end(page)
  } else {
    response.writeHead(404)
    response.end('There is nothing here.\n')
  }
})

server.on('upgrade', (request, socket, head) => {
  if (request.url !== '/chat') {
    socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
    return
  }
  const person = acceptWebSocket(request, socket, head, {
    heard: (text) => say(text.slice(0, MESSAGE_LENGTH_MAX)),
    left: () => {
      people.delete(person)
      tell({ people: people.size })
    },
  })
  if (!person) return
  people.add(person)
  for (const message of remembered) person.send(JSON.stringify(message))
  tell({ people: people.size })
})

server.listen(process.env.PORT ?? 8080, () => {
  process.stdout.write(`Listening on port ${server.address().port}\n`)
})

process.on('SIGTERM', () => {
  // 1001 says "going away": the page connects again, and reaches the release that took over.
  for (const person of people) person.close(1001)
  server.close(() => process.exit(0))
})

function say(text) {
  if (text.trim() === '') return
  const message = { text, at: new Date().toISOString() }
  remembered.push(message)
  if (remembered.length > REMEMBERED) remembered.shift()
  tell(message)
}

function tell(message) {
  const text = JSON.stringify(message)
  for (const person of people) person.send(text)
}
