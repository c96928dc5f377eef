import type { ProblemCode } from '@agentctl/contract/problems.ts'
import type { Route } from './route-table.ts'

/** Why a visitor gets no answer from the agent, and what can be done about it. Never says where the agent lives. */
export interface Refusal {
  code: ProblemCode
  /** For programs; the same words as the status of an agent where that is the reason. */
  reason: string
  title: string
  detail: string
  fix: string
  retryAfterSeconds?: number
}

export const malformed: Refusal = {
  code: 'invalid_request',
  reason: 'malformed',
  title: 'This request is not valid',
  detail: 'Its Host header, target or framing is missing, doubled or contradicts the rest.',
  fix: 'Send one Host header that names the agent, and a path that starts with a slash.',
}

/** In the same words for an agent that never was and for one that was deleted. */
export const noSuchAgent: Refusal = {
  code: 'not_found',
  reason: 'not_found',
  title: 'There is no agent at this address',
  detail: 'It may have been deleted, or the address may be misspelt.',
  fix: 'Check the address. If the agent is yours: agentctl agents list',
}

export const routesUnavailable: Refusal = {
  code: 'unavailable',
  reason: 'unavailable',
  title: 'The service is in trouble',
  detail: 'It cannot find out right now where this agent runs.',
  fix: 'Try again in a minute.',
  retryAfterSeconds: 10,
}

export type Absence = Exclude<Route['status'], 'running'>

export function notRunning(absence: Absence, name: string): Refusal {
  const refusal = { code: 'agent_not_running', reason: absence } as const
  switch (absence) {
    case 'starting':
      return {
        ...refusal,
        title: 'This agent is starting',
        detail: 'It has not passed its health check yet.',
        fix: `Try again in a few seconds. If the agent is yours: agentctl agents logs ${name}`,
        retryAfterSeconds: 3,
      }
    case 'failing':
      return {
        ...refusal,
        title: 'This agent keeps failing',
        detail: 'Its process ended or does not pass its health check; it is being started again.',
        fix: `Try again in a minute. If the agent is yours: agentctl agents logs ${name}`,
        retryAfterSeconds: 30,
      }
    case 'stopped':
      return {
        ...refusal,
        title: 'This agent is stopped',
        detail: 'Its owner can start it again; its files are kept.',
        fix: `If the agent is yours: agentctl agents start ${name}`,
      }
    case 'suspended':
      return {
        ...refusal,
        title: 'This agent is suspended',
        detail:
          'The credits of its owner ran out, or the account was suspended. After the former a deposit brings it back: within the grace period with its files, later without.',
        fix: 'If the agent is yours: agentctl billing deposit 25',
      }
  }
}

export type Silence = 'unreachable' | 'closed' | 'late' | 'garbled'

const SILENCES: Readonly<Record<Silence, string>> = {
  unreachable: 'Its machine could not be reached.',
  closed: 'It closed the connection without an answer.',
  late: 'It took too long.',
  garbled: 'What it sent is not HTTP.',
}

export function didNotAnswer(silence: Silence, name: string): Refusal {
  return {
    code: 'agent_unreachable',
    reason: silence,
    title: 'This agent did not answer',
    detail: SILENCES[silence],
    fix: `Try again in a minute. If the agent is yours: agentctl agents logs ${name}`,
  }
}
