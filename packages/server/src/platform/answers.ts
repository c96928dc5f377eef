import { createHash } from 'node:crypto'
import { type ProblemBody, type ProblemCode, problems } from '@agentctl/contract/problems.ts'
import type { Problem } from './problem.ts'

/** For answers that no browser should show: nothing in them is ever run, framed or loaded from elsewhere. */
const API_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"

/**
 * Headers of every answer. There are none for other origins: a page elsewhere cannot read what a browser would send
 * here with the credentials of its user.
 */
export function answerHeaders({ https }: { https: boolean }): Readonly<Record<string, string>> {
  return {
    'cache-control': 'no-store',
    'content-security-policy': API_CONTENT_POLICY,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    ...(https ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  }
}

/** A page of our own. Its own `<style>` elements are named by hash, so that no other style and no script ever runs. */
export function page(html: string): Response {
  const styles = [...html.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(
    ([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`,
  )
  const policy = [
    "default-src 'self'",
    `style-src ${["'self'", ...styles].join(' ')}`,
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ]
  return new Response(html, {
    headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy.join('; ') },
  })
}

/** The answer to a refusal: RFC 9457 with code, fix and request id. */
export function problemBody(problem: Problem, requestId: string): ProblemBody {
  const kind = problems[problem.code]
  return {
    type: `https://agentctl.dev/problems/${problem.code}` as string,
    title: kind.title,
    status: kind.status,
    detail: problem.message,
    code: problem.code satisfies ProblemCode,
    fix: problem.fix,
    requestId,
  }
}

export function problemHeaders(problem: Problem, requestId: string): Record<string, string> {
  return {
    'content-type': 'application/problem+json',
    'x-request-id': requestId,
    ...(problem.retryAfterSeconds === undefined
      ? {}
      : { 'retry-after': String(Math.ceil(problem.retryAfterSeconds)) }),
    ...problem.headers,
  }
}
