import { defineCommand, required } from '../../command.ts'

export const rename = defineCommand({
  summary: 'Rename a namespace; the addresses of its agents stay as they are',
  args: { name: required('name', 'the name that it has'), to: required('new-name', 'the name that it gets') },
  examples: ['agentctl namespaces rename demo production'],
  async run(ctx, { name, to }) {
    const renamed = await ctx.api('PATCH /v1/namespaces/:namespace', {
      params: { namespace: name },
      body: { name: to },
    })
    const { url } = ctx.address()
    if (ctx.login()?.namespace === name) {
      await ctx.saveConfig((config) => {
        const login = config.logins?.[url]
        if (login) login.namespace = renamed.name
      })
    }
    ctx.out.result(renamed, `${name} is now ${renamed.name}.`)
  },
})
