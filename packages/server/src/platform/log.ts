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
  route?: string
  status?: number
  durationMs?: number
  count?: number
  port?: number
  role?: string
  /** Name and place of a fault in our own code; never the text of a provider, which may hold a phone number. */
  fault?: string
}

export interface Log {
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

const FIELD_NAMES: ReadonlySet<string> = new Set<keyof LogFields>([
  'requestId',
  'operationId',
  'kind',
  'step',
  'accountId',
  'agentId',
  'domainId',
  'machineId',
  'releaseId',
  'providerId',
  'provider',
  'route',
  'status',
  'durationMs',
  'count',
  'port',
  'role',
  'fault',
])

/** JSON lines; unknown fields are dropped, so that a careless caller cannot leak what has no name here. */
export function jsonLog(write: (line: string) => void): Log {
  const say =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      const allowed = Object.entries(fields).filter(([name]) => FIELD_NAMES.has(name))
      write(
        `${JSON.stringify({ at: new Date().toISOString(), level, message, ...Object.fromEntries(allowed) })}\n`,
      )
    }
  return { info: say('info'), warn: say('warn'), error: say('error') }
}

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} }

/** Where a fault happened, without its message: messages of libraries may quote what users sent. */
export function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const at =
    error.stack
      ?.split('\n')
      .find((line) => line.startsWith('    at '))
      ?.trim() ?? ''
  const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : ''
  return `${error.name}${code} ${at}`
}
