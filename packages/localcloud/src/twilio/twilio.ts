import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Hono } from 'hono'
import { KeptState } from '../kept-state.ts'
import { type StandInOptions, startStandIn } from '../stand-in.ts'
import type { VerifyState } from './verification.ts'
import { sid, type TwilioCredentials, verifyApi } from './verify-api.ts'

export interface Twilio extends TwilioCredentials {
  url: string
  stop(): Promise<void>
}

/** Starts the stand-in for Twilio Verify. What a phone received is at `GET /_local/inbox?to=…`. */
export async function startTwilio(options: StandInOptions): Promise<Twilio> {
  const { url, credentials, stop } = await startStandIn<TwilioCredentials>(
    {
      name: 'twilio',
      makeCredentials: () => ({
        accountSid: sid('AC'),
        authToken: randomBytes(16).toString('hex'),
        serviceSid: sid('VA'),
      }),
      build: ({ credentials, folder, clock }) => {
        const state = new KeptState<VerifyState>(join(folder, 'state.json'), {
          verifications: [],
          messages: [],
        })
        const local = new Hono()
        local.get('/inbox', (c) => {
          const to = c.req.query('to')
          const received = state.value.messages.filter((message) => to === undefined || message.to === to)
          return c.json(received.map(({ at, body, code }) => ({ at, body, code })))
        })
        return { api: verifyApi(credentials, state, clock), local }
      },
    },
    options,
  )
  return { url, ...credentials, stop }
}
