import type { z } from 'zod'
import { agentEndpoints } from './agents.ts'
import { billingEndpoints } from './billing.ts'
import { domainEndpoints } from './domains.ts'
import type { Endpoint, Params } from './endpoint.ts'
import { identityEndpoints } from './identity.ts'
import { operatorEndpoints } from './operators.ts'
import { platformEndpoints } from './platform.ts'
import { policyEndpoints } from './policy.ts'
import { privacyEndpoints } from './privacy.ts'
import { runnerEndpoints } from './runner.ts'

/** Every endpoint of the service, once. */
export const endpoints = {
  ...platformEndpoints,
  ...identityEndpoints,
  ...billingEndpoints,
  ...agentEndpoints,
  ...domainEndpoints,
  ...privacyEndpoints,
  ...operatorEndpoints,
  ...policyEndpoints,
  ...runnerEndpoints,
}

export type Endpoints = typeof endpoints
export type RouteOf = keyof Endpoints & string

type Field<E, K extends keyof Endpoint> = E extends { [P in K]: infer V } ? V : undefined
/** What a caller sends. */
export type BodyOf<R extends RouteOf> =
  Field<Endpoints[R], 'body'> extends z.ZodType<unknown, infer I> ? I : undefined
export type QueryOf<R extends RouteOf> =
  Field<Endpoints[R], 'query'> extends z.ZodType<unknown, infer I> ? I : undefined
/** What a handler has after validation. */
export type ParsedBody<R extends RouteOf> =
  Field<Endpoints[R], 'body'> extends z.ZodType<infer O> ? O : undefined
export type ParsedQuery<R extends RouteOf> =
  Field<Endpoints[R], 'query'> extends z.ZodType<infer O> ? O : undefined
export type ResponseOf<R extends RouteOf> =
  Field<Endpoints[R], 'response'> extends z.ZodType<infer O> ? O : undefined
export type ParamsOf<R extends RouteOf> = Params<R>
