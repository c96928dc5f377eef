import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Notice } from '@agentctl/contract/identity.ts'
import type { Api } from './api-client.ts'
import { isLoopback } from './loopback-names.ts'
import { type Output, printable } from './output.ts'
import { WIDTH, wrap } from './wrapped-text.ts'

const ASK_EVERY_MS = 60_000
/** For how long a command that has ended waits for the answer; mostly it came before the command's own. */
const PATIENCE_MS = 300
const TOLD_AT_ONCE = 3
/** More are unread for nobody; those forgotten would only be told once more. */
const REMEMBERED = 500

interface Memory {
  /** By API: when it was asked last, in milliseconds. */
  askedAt: Record<string, number>
  told: string[]
}

export interface NoticeWatch {
  /** The command has sent a request with its login; the first one has the service asked for notices, beside it. */
  sent(route: string): void
  /** Tells what is new on stderr, each once. Never throws, and waits for next to nothing. */
  tell(): Promise<void>
}

/** Shows service messages under whatever command is run, without that command being any slower or able to fail by it. */
export function watchNotices({
  api,
  out,
  url,
  folder,
}: {
  api: Api
  out: Output
  url(): string
  /** Where it remembers; the file is its own, so that logins are never rewritten by a command that only reads. */
  folder: string
}): NoticeWatch {
  const path = join(folder, 'notices.json')
  let begun = false
  let unread: Promise<Notice[] | undefined> | undefined

  return {
    sent(route) {
      if (begun) return
      begun = true
      // Whoever asks for notices is shown them.
      if (route !== 'GET /v1/notices' && due(recall(path), url())) unread = ask(api)
    },
    async tell() {
      if (unread === undefined) return
      const found = await within(PATIENCE_MS, unread)
      const memory = recall(path)
      const fresh = (found ?? []).filter(({ id }) => !memory.told.includes(id))
      for (const notice of fresh.slice(0, TOLD_AT_ONCE)) out.note(described(out, notice))
      if (fresh.length > TOLD_AT_ONCE) {
        out.note(`${fresh.length - TOLD_AT_ONCE} more: agentctl notices`)
      }
      remember(path, {
        askedAt: { ...memory.askedAt, [url()]: Date.now() },
        told: [...memory.told, ...fresh.map(({ id }) => id)].slice(-REMEMBERED),
      })
    },
  }
}

/** On this machine asking costs nothing, and the clock of a local cloud may have been moved a week since a second ago. */
function due({ askedAt }: Memory, url: string): boolean {
  if (isLoopback(new URL(url))) return true
  const since = Date.now() - (askedAt[url] ?? 0)
  return since < 0 || since >= ASK_EVERY_MS
}

async function ask(api: Api): Promise<Notice[] | undefined> {
  try {
    const { notices } = await api('GET /v1/notices', { query: { unread: 'true' }, once: true })
    // Whatever another version of the service answers, the command that was run does not fail by it.
    return notices.filter(({ id, message }) => typeof id === 'string' && typeof message === 'string')
  } catch {
    return undefined
  }
}

async function within<T>(ms: number, answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const end = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  const first = await Promise.race([answer, end])
  clearTimeout(timer)
  return first
}

function described(out: Output, { message, next }: Notice): string {
  const [first = '', ...rest] = wrap(`notice: ${printable(message)}`, WIDTH)
  const lines = [first.replace('notice:', out.style('yellow', 'notice:')), ...rest]
  return [...lines, ...(typeof next === 'string' ? [`  ${printable(next)}`] : [])].join('\n')
}

/** What was told, as far as it is known: a file that is gone or broken only has messages told again. */
function recall(path: string): Memory {
  const memory: Memory = { askedAt: {}, told: [] }
  try {
    const kept: Partial<Memory> = JSON.parse(readFileSync(path, 'utf8'))
    if (Array.isArray(kept.told)) memory.told = kept.told.filter((id) => typeof id === 'string')
    for (const [url, at] of Object.entries(kept.askedAt ?? {})) {
      if (Date.now() - at < ASK_EVERY_MS) memory.askedAt[url] = at
    }
  } catch {
    // Told above.
  }
  return memory
}

/** In one step, so that a command that runs at the same time reads the old or the new. */
function remember(path: string, memory: Memory): void {
  const unfinished = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(unfinished, JSON.stringify(memory), { mode: 0o600 })
    renameSync(unfinished, path)
  } catch {
    // A home that is read-only is told the same messages with the next command.
  }
}
