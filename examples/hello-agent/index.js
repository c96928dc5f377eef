import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { page } from './page.js'

const greeting = process.env.GREETING ?? 'Hello'
const startedAt = Date.now()

// What is kept under the home directory outlives releases, restarts and suspension.
const file = join(homedir(), 'visits.json')
let visits = readVisits()

/** Everybody who watches /events. */
const watchers = new Set()

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://agent')
  if (pathname === '/health') {
    answer(response, 200, 'application/json', JSON.stringify({ status: 'ok' }))
  } else if (pathname === '/events') {
    watch(request, response)
  } else if (pathname === '/state') {
    answer(response, 200, 'application/json', JSON.stringify(state()))
  } else if (pathname === '/') {
    if (request.method === 'GET') countVisit()
    answer(response, 200, 'text/html; charset=utf-8', page(state()))
  } else {
    answer(response, 404, 'text/plain; charset=utf-8', 'There is nothing here.\n')
  }
})

server.listen(process.env.PORT ?? 8080, () => {
  process.stdout.write(`${greeting}: listening on port ${server.address().port}, ${visits} visits so far\n`)
})

// A new release takes over while this one answers what it has begun.
process.on('SIGTERM', () => {
  for (const watcher of watchers) watcher.end()
  server.close(() => process.exit(0))
})

function state() {
  return { greeting, visits, upSeconds: Math.round((Date.now() - startedAt) / 1000) }
}

function answer(response, status, type, body) {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(body)
}

function watch(request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  tell(response)
  watchers.add(response)
  request.on('close', () => watchers.delete(response))
}

function tell(watcher) {
  watcher.write(`event: state\ndata: ${JSON.stringify(state())}\n\n`)
}

setInterval(() => watchers.forEach(tell), 5000).unref()

function countVisit() {
  visits += 1
  // Written aside and renamed: a crash leaves the old count or the new one, never half of one.
  writeFileSync(`${file}.new`, JSON.stringify({ visits }))
  renameSync(`${file}.new`, file)
  watchers.forEach(tell)
  process.stdout.write(`visit ${visits}\n`)
}

function readVisits() {
  try {
    return Number(JSON.parse(readFileSync(file, 'utf8')).visits) || 0
  } catch {
    return 0
  }
}
