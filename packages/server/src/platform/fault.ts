import type { Log } from './log.ts'

/** A frame of our code or of a library: a function and a file with its place. Nothing that somebody sent looks like it. */
const FRAME = /^\s+(at (?:[\w$.<>[\] #]{1,120} \()?(?:file:\/\/|node:|\/)[^\s?&]{1,300}:\d+:\d+\)?)$/
const NAME = /^[A-Za-z_][\w.]{0,60}$/
const CODE = /^[\w-]{1,40}$/

/**
 * Which fault it was and where it happened, without its message and its causes: those of libraries quote what users
 * sent, and PostgreSQL's the values of a row.
 */
export function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const name = NAME.test(error.name) ? error.name : 'Error'
  const code = 'code' in error && typeof error.code === 'string' && CODE.test(error.code) ? error.code : ''
  return [name, code, placeOf(error)].filter((part) => part !== '').join(' ')
}

/** The innermost frame. A message of several lines may hold lines that look like one, so they end the search. */
function placeOf({ stack = '', message }: Error): string {
  const from = message === '' ? -1 : stack.indexOf(message)
  const lines = (from < 0 ? stack : stack.slice(from + message.length)).split('\n')
  const frames = lines.slice(lines.findLastIndex((line) => line !== '' && !line.startsWith('    at ')) + 1)
  for (const line of frames) {
    const [, place] = FRAME.exec(line) ?? []
    if (place !== undefined) return place
  }
  return ''
}

/** Node would print what nobody has caught as a whole: its message, and whatever a library has hung on it. */
export function endOnFault(log: Pick<Log, 'error'>): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error('The server has a fault and ends', { fault: faultOf(error) })
      process.exit(1)
    })
  }
}
