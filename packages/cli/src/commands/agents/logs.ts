import type { LogRecord } from '@agentctl/contract/agents.ts'
import { pause } from '../../api-client.ts'
import { defineCommand, flag, option, parseDuration, required, wholeNumber } from '../../command.ts'
import type { Context } from '../../context.ts'
import { exitCodeOf, Failure } from '../../failure.ts'
import { printable } from '../../output.ts'

interface LogQuery {
  namespace: string | undefined
  since: string | undefined
  tail: number | undefined
  grep: string | undefined
}

export const logs = defineCommand({
  summary: 'Show what an agent wrote to its output',
  details: 'With --follow and --json, one JSON object a line.',
  args: { agent: required('name', 'name or id of the agent') },
  options: {
    follow: flag('-f, --follow', 'stay and show new lines'),
    since: option('--since <time>', 'from this time on: 10m, 2h, or 2026-01-31T12:00:00Z'),
    tail: wholeNumber('--tail <lines>', 'the last lines only (default 100 without --since)', {
      min: 0,
      max: 10_000,
    }),
    grep: option('--grep <text>', 'lines that contain this text'),
  },
  examples: [
    'agentctl agents logs hello',
    'agentctl agents logs hello -f',
    'agentctl agents logs hello --since 1h --grep error',
  ],
  async run(ctx, { agent }, { follow, since, tail, grep }) {
    const query = {
      namespace: ctx.namespace(),
      since: since === undefined ? undefined : startOf(since),
      tail: tail ?? (since === undefined ? 100 : undefined),
      grep,
    }
    if (follow) return followLogs(ctx, agent, query)
    const answer = await ctx.api.open('GET /v1/agents/:agent/logs', {
      params: { agent },
      query,
      timeoutSeconds: 120,
    })
    if (!ctx.out.json) {
      for await (const record of records(answer)) ctx.out.line(record, sentenceOf)
      return
    }
    const all: LogRecord[] = []
    for await (const record of records(answer)) all.push(record)
    ctx.out.result({ logs: all }, '')
  },
})

function startOf(since: string): string {
  const seconds = parseDuration(since)
  const at = seconds === undefined ? Date.parse(since) : Date.now() - seconds * 1000
  if (!Number.isNaN(at)) return new Date(at).toISOString()
  throw new Failure(
    'usage',
    `--since takes a duration such as 10m, or a time such as 2026-01-31T12:00:00Z; not '${since}'`,
    {
      fix: 'Correct the time.',
    },
  )
}

const sentenceOf = ({ at, stream, text }: LogRecord): string =>
  `${at.slice(0, 19)}Z ${stream === 'platform' ? '-- ' : ''}${printable(text)}`

async function* records(response: Response): AsyncGenerator<LogRecord> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line)
  }
  if (rest.trim() !== '') yield JSON.parse(rest)
}

/** A broken connection is taken up again where it broke, without a line twice; it ends with Ctrl-C. */
async function followLogs(ctx: Context, agent: string, query: LogQuery): Promise<void> {
  ctx.onInterrupt('')
  let { since, tail } = query
  /** Lines already shown of the instant from which the next connection begins. */
  let shown = new Set<string>()
  for (let delay = 500; ; delay = Math.min(delay * 2, 10_000)) {
    try {
      const response = await ctx.api.open('GET /v1/agents/:agent/logs', {
        params: { agent },
        query: { ...query, since, tail, follow: 'true' },
        timeoutSeconds: 24 * 3600,
      })
      for await (const record of records(response)) {
        const mark = JSON.stringify(record)
        if (record.at === since && shown.has(mark)) continue
        if (record.at !== since) shown = new Set()
        since = record.at
        tail = undefined
        shown.add(mark)
        delay = 500
        ctx.out.line(record, sentenceOf)
      }
    } catch (error) {
      if (ctx.signal.aborted) throw ctx.interruption()
      if (error instanceof Failure && exitCodeOf(error.code) !== 7) throw error
      ctx.out.debug(`the log stream broke: ${error instanceof Error ? error.message : error}`)
    }
    await pause(delay, ctx.signal)
  }
}
