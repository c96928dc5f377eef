import { defineCommand, required } from '../../command.ts'
import { Failure } from '../../failure.ts'

export const use = defineCommand({
  summary: 'Work in a namespace unless told otherwise; kept on this machine',
  args: { name: required('name', 'a namespace that you are a member of') },
  examples: ['agentctl namespaces use demo'],
  async run(ctx, { name }) {
    const { url } = ctx.address()
    if (!ctx.login()) {
      throw new Failure('unauthenticated', `You are not logged in to ${url}`, {
        fix: 'Log in first: agentctl login, or set AGENTCTL_NAMESPACE beside AGENTCTL_API_KEY',
      })
    }
    const { namespaces } = await ctx.api('GET /v1/namespaces')
    if (!namespaces.some((namespace) => namespace.name === name)) {
      throw new Failure('not_found', `You are not a member of a namespace '${name}'`, {
        fix: `Yours: ${namespaces.map((namespace) => namespace.name).join(', ') || 'none'}`,
      })
    }
    await ctx.saveConfig((config) => {
      const login = config.logins?.[url]
      if (login) login.namespace = name
    })
    ctx.out.result({ namespace: name }, `Commands now work in ${name}.`)
  },
})
