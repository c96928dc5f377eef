import { defineCommand } from '../command.ts'
import { Failure } from '../failure.ts'

export const logout = defineCommand({
  summary: 'End the session and forget it on this machine',
  examples: ['agentctl logout'],
  async run(ctx) {
    const { url } = ctx.address()
    const login = ctx.login()
    let ended = false
    if (login?.via === 'session') {
      try {
        await ctx.api('POST /v1/logout', { token: login.token })
        ended = true
      } catch (error) {
        // A session that has ended already needs no ending. If the service cannot be reached,
        // the token is still forgotten here, and the reader is told that it lives on.
        if (!(error instanceof Failure)) throw error
        if (error.code === 'interrupted') throw error
        if (error.code === 'unauthenticated') ended = true
      }
    }
    if (login) {
      await ctx.saveConfig((config) => {
        delete config.logins?.[url]
        if (config.apiUrl === url) delete config.apiUrl
      })
    }
    const stillKey = Boolean(ctx.env.AGENTCTL_API_KEY)
    ctx.out.result({ loggedOut: login !== undefined, sessionEnded: ended, apiUrl: url }, () =>
      login ? `Logged out of ${url}.` : `You were not logged in to ${url}.`,
    )
    if (login?.via === 'session' && !ended) {
      ctx.out.notice(
        'The service could not be told; the session ends by itself, or: agentctl account sessions revoke',
      )
    }
    if (stillKey) ctx.out.notice('AGENTCTL_API_KEY is still set and goes on to be used.')
  },
})
