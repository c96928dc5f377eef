import type { OpenApiDocument } from '@agentctl/contract/openapi.ts'
import { visit } from '../many-servers/calls.ts'
import type { Platform } from '../many-servers/platform.ts'
import type { Canaries } from './canaries.ts'

/** They do what they say, whatever is in them. */
const TAKEN_AT_ITS_WORD = ['POST /v1/logout']

interface Asked {
  method: string
  path: string
  headers?: Record<string, string>
  body?: string
}

/** Requests that are refused, with every canary in every part of them, to every endpoint and to what is none. */
export async function askInVain(platform: Platform, canaries: Canaries, key: string): Promise<number[]> {
  const { apiUrl, routerUrl } = platform.cloud.local
  const document = (await (await fetch(`${apiUrl}/openapi.json`)).json()) as OpenApiDocument
  const { body, query, header, path: nowhere, phone, nextPhone, card, secret, privateKey, client } = canaries
  const known = [phone, nextPhone, card, secret, privateKey, key]
  const everything = { ...Object.fromEntries(known.map((value, at) => [`field${at}`, value])), body }
  const inQuery = new URLSearchParams({ ...everything, query }).toString()
  const base = { 'cf-connecting-ip': client, 'user-agent': header, 'x-forwarded-for': client }
  const authorized = { ...base, authorization: `Bearer ${key}`, 'idempotency-key': 'in-vain' }
  const json = { ...authorized, 'content-type': 'application/json' }
  const ask = async ({ method, path, headers, body: sent }: Asked): Promise<number> => {
    const answer = await fetch(`${apiUrl}${path}`, {
      method,
      headers: headers ?? authorized,
      redirect: 'manual',
      ...(sent === undefined || method === 'GET' ? {} : { body: sent }),
    })
    await answer.arrayBuffer()
    return answer.status
  }

  const asked: Asked[] = []
  for (const [template, methods] of Object.entries(document.paths)) {
    for (const name of Object.keys(methods)) {
      const method = name.toUpperCase()
      const path = template.replace(/\{\w+\}/g, nowhere)
      if (TAKEN_AT_ITS_WORD.includes(`${method} ${path}`)) continue
      const withPhone = template.replace(/\{\w+\}/g, encodeURIComponent(`${phone} ${card}`))
      asked.push(
        { method, path: `${path}?${inQuery}` },
        { method, path: withPhone, headers: json, body: JSON.stringify(everything) },
        {
          method,
          path,
          headers: json,
          body: `{"phone":"${phone}","card":${card},"secret":"${secret}", ${body}`,
        },
        {
          method,
          path,
          headers: { ...json, authorization: `Bearer ${secret}`, cookie: `a=${header}` },
          body: '{}',
        },
        {
          method,
          path,
          headers: { ...base, authorization: header, 'idempotency-key': phone, 'x-note': secret },
        },
      )
    }
  }
  for (const value of [nowhere, encodeURIComponent(phone), card, key, encodeURIComponent(secret)]) {
    for (const method of ['GET', 'POST', 'PROPFIND']) {
      asked.push({ method, path: `/v1/${value}?${inQuery}`, body: JSON.stringify(everything) })
      asked.push({ method, path: `/${value}/${nowhere}`, headers: base })
    }
  }
  asked.push(
    {
      method: 'POST',
      path: '/v1/logins/phone',
      headers: json,
      body: JSON.stringify({ phone: `${phone}\0` }),
    },
    { method: 'POST', path: '/v1/logins/phone', headers: json, body: JSON.stringify({ phone: `${phone}x` }) },
    {
      method: 'POST',
      path: '/v1/webhooks/stripe',
      headers: { ...base, 'stripe-signature': `t=1,v1=${'0'.repeat(64)}` },
      body: JSON.stringify({ id: 'evt_1', data: { object: { card, phone, body } } }),
    },
    {
      method: 'POST',
      path: '/v1/blobs',
      headers: { ...authorized, 'content-type': 'application/vnd.agentctl.blobs' },
      body,
    },
  )
  const statuses: number[] = []
  for (let at = 0; at < asked.length; at += 16) {
    statuses.push(...(await Promise.all(asked.slice(at, at + 16).map(ask))))
  }
  for (const host of [`${nowhere}.agents.localhost`, `x${phone.slice(1)}.agents.localhost`]) {
    const answer = await visit(
      Number(new URL(routerUrl).port),
      `http://${host}`,
      `/${nowhere}?${inQuery}`,
      base,
    )
    answer.resume()
    statuses.push(answer.statusCode ?? 0)
  }
  return statuses
}
