import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { delimiter, join } from 'node:path'
import { type Browser, chromium, type LaunchOptions, type Page } from 'playwright-core'

const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const program = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => PROGRAMS.map((name) => join(folder, name)))
  .find(isProgram)

/** Why no page can be opened on this machine; undefined when one can. */
export const browserHindrance = program
  ? undefined
  : 'There is no Chromium (Debian: chromium): pages are not opened in a browser.'

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Answers for a name, on this machine: its port; undefined for what is not ours. */
export type Ours = (host: string) => number | undefined

/** What a browser with a fresh profile met on its way. */
export interface Seen {
  /** Addresses that answered with a page. */
  pages: string[]
  /** Whatever they wanted from others, refused by the browser or not. */
  elsewhere: string[]
  /** Names. */
  cookies: string[]
  /** What the browser refused to do for a page, and faults of its scripts. */
  refused: string[]
  /** What pages left in it besides cookies. */
  stored: string[]
}

/** Opens these addresses and all that they lead to on the same origin. */
export async function crawl(starts: readonly string[], ours: Ours): Promise<Seen> {
  const seen: Seen = { pages: [], elsewhere: [], cookies: [], refused: [], stored: [] }
  const wanted = (url: string): void => {
    if (ours(new URL(url).hostname) === undefined && !seen.elsewhere.includes(url)) seen.elsewhere.push(url)
  }
  const outlet = await openOutlet(ours, wanted)
  const browser = await openBrowser()
  try {
    // Names of this machine as well, which otherwise go past it.
    const profile = await browser.newContext({ proxy: { server: outlet.url, bypass: '<-loopback>' } })
    // One that is stopped inside of the browser never comes to its outlet.
    profile.on('request', (asked) => {
      if (/^(?:https?|wss?):/.test(asked.url())) wanted(asked.url())
    })
    profile.on('weberror', (fault) => seen.refused.push(fault.error().message))
    profile.on('console', (message) => {
      // A page about what is not there is told with such a status.
      if (!message.text().startsWith('Failed to load resource')) seen.refused.push(message.text())
    })
    const ways = [...starts]
    for (const url of ways) {
      // Each stays open: what it does later is seen as well, and one that reloads itself comes between no others.
      const page = await profile.newPage()
      const answer = await page.goto(url)
      if (answer?.headers()['content-type']?.startsWith('text/html')) seen.pages.push(url)
      for (const link of await ask<string[]>(page, LINKS)) {
        const next = new URL(link, url)
        next.hash = ''
        if (next.origin === new URL(url).origin && !ways.includes(next.href)) ways.push(next.href)
      }
    }
    for (const page of profile.pages()) {
      await page.waitForLoadState('networkidle')
      for (const what of await ask<string[]>(page, STORED)) {
        const line = `${new URL(page.url()).origin} ${what}`
        if (!seen.stored.includes(line)) seen.stored.push(line)
      }
    }
    // One and the same wish is told by the page and by the outlet, whichever comes first.
    seen.elsewhere.sort()
    seen.cookies = (await profile.cookies()).map(({ name }) => name)
  } finally {
    await browser.close()
    await outlet.close()
  }
  return seen
}

/** Nobody answers there: what the browser wants on its own account, its updates above all, leaves it not. */
const NOWHERE = 'http://127.0.0.1:9'

async function openBrowser(): Promise<Browser> {
  if (!program) throw new Error(browserHindrance)
  const options: LaunchOptions = {
    executablePath: program,
    proxy: { server: NOWHERE, bypass: '<-loopback>' },
    chromiumSandbox: process.getuid?.() !== 0,
  }
  // Where users may not make namespaces, there is no sandbox to be had.
  return chromium.launch(options).catch(() => chromium.launch({ ...options, chromiumSandbox: false }))
}

/** The only way out for pages: to what is ours, and nowhere else. */
async function openOutlet(ours: Ours, wanted: (url: string) => void) {
  const outlet: Server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '')
    wanted(url.href)
    const port = ours(url.hostname)
    if (port === undefined) {
      outgoing.writeHead(502).end()
      return
    }
    const asking = request(
      {
        host: '127.0.0.1',
        port,
        method: incoming.method,
        path: url.pathname + url.search,
        headers: incoming.headers,
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.pipe(outgoing)
      },
    )
    asking.once('error', () => outgoing.destroy())
    incoming.pipe(asking)
  })
  outlet.on('connect', ({ url }, socket) => {
    wanted(`https://${url}`)
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  outlet.listen(0, '127.0.0.1')
  await once(outlet, 'listening')
  const address = outlet.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    async close(): Promise<void> {
      outlet.closeAllConnections()
      outlet.close()
      await once(outlet, 'close')
    },
  }
}

/** Once more for a page that has reloaded itself meanwhile. */
const ask = <T>(page: Page, script: string): Promise<T> =>
  page.evaluate<T>(script).catch(() => page.evaluate<T>(script))

/** What the pages of an origin keep besides cookies. */
const STORED = `(async () => Object.entries({
  localStorage: localStorage.length,
  sessionStorage: sessionStorage.length,
  indexedDB: (await indexedDB.databases()).length,
  caches: (await caches.keys()).length,
  serviceWorker: (await navigator.serviceWorker.getRegistrations()).length,
}).flatMap(([what, amount]) => (amount > 0 ? [what] : [])))()`

const LINKS = `[...document.querySelectorAll('[href], [action]')].map(
  (one) => one.getAttribute('href') ?? one.getAttribute('action'))`
