import { defineCommand, flag, required } from '../../command.ts'

export const remove = defineCommand({
  summary: 'Delete an empty namespace',
  args: { name: required('name', 'name of the namespace') },
  options: { yes: flag('-y, --yes', 'do not ask') },
  examples: ['agentctl namespaces delete demo --yes'],
  async run(ctx, { name }, { yes }) {
    await ctx.prompt.insist({ message: `Delete namespace ${name}?`, yes, instead: 'Nothing was deleted' })
    await ctx.api('DELETE /v1/namespaces/:namespace', { params: { namespace: name } })
    const { url } = ctx.address()
    if (ctx.login()?.namespace === name) {
      await ctx.saveConfig((config) => {
        delete config.logins?.[url]?.namespace
      })
    }
    ctx.out.result({ name, deleted: true }, `Namespace ${name} is deleted.`)
  },
})
