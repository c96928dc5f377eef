import type { z } from 'zod'
import type { ProblemCode } from './problems.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Route = `${Method} /${string}`

export const roles = ['viewer', 'developer', 'admin', 'owner'] as const
export type Role = (typeof roles)[number]

export const scopes = [
  'agents:read',
  'agents:write',
  'domains:write',
  'billing:read',
  'billing:write',
  'keys:manage',
] as const
export type Scope = (typeof scopes)[number]

/**
 * Who may call an endpoint.
 * - `public`: anybody.
 * - `account`: any live session or API key.
 * - `session`: a person's session only, never an API key.
 * - `machine`: the runner on an agent's machine, by its machine credential.
 * - `operator`: somebody who runs the service, by a credential of their own; to others it is as if it did not exist.
 * - a scope: any session, or a key that has the scope; with a role, in a namespace where the account has at least that.
 */
export type Access = 'public' | 'account' | 'session' | 'machine' | 'operator' | { scope: Scope; role?: Role }

export interface Endpoint {
  id: string
  summary: string
  access: Access
  /** Status of the successful answer; 200 unless told. */
  status?: 200 | 201 | 202 | 204
  query?: z.ZodObject
  /** JSON body; absent for none. */
  body?: z.ZodType
  /** Most bytes that the JSON body may have; 64 KiB unless told. */
  bodyBytesMax?: number
  /** Texts in the body may have characters that PostgreSQL does not keep; the endpoint replaces them. */
  anyCharacters?: true
  /** A body that is not JSON: its media type. */
  rawBody?: string
  response?: z.ZodType
  /** An answer that is not one JSON document: its media type. */
  rawResponse?: string
  /** For a raw answer of one JSON document a line: what each of them is. */
  responseLine?: z.ZodType
  /** Problems beyond those that follow from the rest of this description (`problemsOf`). */
  problems?: readonly ProblemCode[]
  /** The caller must send `Idempotency-Key`. */
  idempotencyKey?: true
}

export const BODY_BYTES_MAX = 64 * 1024

export const defineEndpoints = <const T extends Record<Route, Endpoint>>(table: T): T => table

/** The names of the `:params` in a route. */
export type ParamNames<R extends string> = R extends `${string}:${infer P}/${infer Rest}`
  ? P | ParamNames<`/${Rest}`>
  : R extends `${string}:${infer P}`
    ? P
    : never

export type Params<R extends string> = { [K in ParamNames<R>]: string }

export function pathParams(route: Route): string[] {
  return [...route.matchAll(/:(\w+)/g)].map(([, name = '']) => name)
}
