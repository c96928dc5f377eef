import { roles } from '@agentctl/contract/endpoint.ts'
import { defineCommand, required } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { chosenNamespace } from '../../namespace-choice.ts'

export const setRole = defineCommand({
  summary: 'Give a member another role',
  args: {
    account: required('account', 'id of the member, from agentctl members list'),
    role: required('role', roles.join(', ')),
  },
  examples: ['agentctl members set-role acc_… admin'],
  async run(ctx, { account, role: said }) {
    const role = roles.find((one) => one === said)
    if (role === undefined) {
      throw new Failure('usage', `There is no role '${said}'`, { fix: `Roles: ${roles.join(', ')}` })
    }
    const namespace = await chosenNamespace(ctx)
    const member = await ctx.api('PATCH /v1/namespaces/:namespace/members/:account', {
      params: { namespace, account },
      body: { role },
    })
    ctx.out.result(member, `${member.accountId} is ${member.role} of ${namespace}.`)
  },
})
