import { type DestinationStream, destination, pino } from 'pino'

/** Fields that a log line may have. Anything that could name a person or a secret has no field to go into. */
export interface LogFields {
  requestId?: string
  operationId?: string
  kind?: string
  step?: string
  accountId?: string
  agentId?: string
  domainId?: string
  machineId?: string
  releaseId?: string
  providerId?: string
  provider?: string
  /** As the contract declares it, never as it was asked for. */
  route?: string
  status?: number
  durationMs?: number
  count?: number
  port?: number
  role?: string
  /** Name and place of a fault in our own code (`faultOf`); never the text of a provider, which may hold a phone number. */
  fault?: string
}

export interface Log {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

const ID = /^(?!actl)[a-z]{2,4}_[a-z0-9_]{1,40}$/
const WORDS = /^(?!.*\d{7})(?!.*[\w-]{33})[A-Za-z][\w .,:-]{0,100}$/
const AMOUNT = Number.isFinite

/** What a value of each field looks like. One that looks otherwise is not shown, under whatever name it comes. */
const FIELDS: Readonly<Record<keyof LogFields, RegExp | ((value: unknown) => boolean)>> = {
  requestId: ID,
  operationId: ID,
  kind: WORDS,
  step: WORDS,
  accountId: ID,
  agentId: ID,
  domainId: ID,
  machineId: ID,
  releaseId: ID,
  // Of Vultr, Cloudflare and Stripe, each in its own form; keys of theirs and tokens of ours are none.
  providerId: /^(?!(?:actl|sk|rk|whsec)_)(?=.*[A-Za-z])[\w-]{1,120}$/,
  provider: WORDS,
  route: /^(?:[A-Z]+ )?(?:\/(?::?[A-Za-z_][A-Za-z_.-]{0,40}|v1|\*)?)*$/,
  status: AMOUNT,
  durationMs: AMOUNT,
  count: AMOUNT,
  port: AMOUNT,
  role: WORDS,
  fault:
    /^(?!actl_|\S*\d{7})[\w.-]{1,40}(?: (?!at )(?!\S*\d{7})[\w.-]{1,40}){0,9}(?: at [^\s?&][^?&]{1,440})?$/,
}
const NOT_SHOWN = '[not shown]'
const MESSAGE_CHARACTERS_MAX = 500

function looksRight(name: string, value: unknown): boolean {
  const look = FIELDS[name as keyof LogFields]
  return typeof look === 'function' ? look(value) : typeof value === 'string' && look.test(value)
}

/** Policy 1e: the fields that have a name here, with values that look like theirs; the rest is nowhere. */
function allowed(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const known = Object.entries(fields).filter(
    ([name, value]) => Object.hasOwn(FIELDS, name) && value !== undefined,
  )
  return Object.fromEntries(known.map(([name, value]) => [name, looksRight(name, value) ? value : NOT_SHOWN]))
}

/** What happened, in the words of our code; `test/architecture.test.ts` sees to it that they are written there. */
const plain = (message: unknown): string =>
  typeof message === 'string'
    ? message.replace(/[^\x20-\x7e\u00a0-\uffff]/g, ' ').slice(0, MESSAGE_CHARACTERS_MAX)
    : NOT_SHOWN

function logTo(stream: DestinationStream): Log {
  const logger = pino(
    {
      base: null,
      messageKey: 'message',
      timestamp: () => `,"at":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }), log: allowed },
    },
    stream,
  )
  const say =
    (level: keyof Log) =>
    (message: string, fields: LogFields = {}): void =>
      // A copy: an error in place of the fields is an object to this library's eyes, and it would show its message.
      logger[level]({ ...fields }, plain(message))
  return { info: say('info'), warn: say('warn'), error: say('error') }
}

/** JSON lines, each handed over as a whole. */
export function jsonLog(write: (line: string) => void): Log {
  return logTo({ write })
}

/** One line as any log of this server would write it, for who wants to see what it lets through. */
export function logLine(message: string, fields: Readonly<Record<string, unknown>>): string {
  let line = ''
  jsonLog((written) => {
    line = written
  }).info(message, fields as LogFields)
  return line
}

/** JSON lines on the standard output. Each is written before the call returns, so that no end of the process loses one. */
export function standardLog(): Log {
  const stream = destination({ dest: 1, sync: true })
  // Whoever read it is gone; the service goes on without.
  stream.on('error', () => {})
  return logTo(stream)
}

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} }
