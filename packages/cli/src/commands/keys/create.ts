import { scopes } from '@agentctl/contract/endpoint.ts'
import { choicesOf, defineCommand, flag, required, wholeNumber } from '../../command.ts'
import { Failure } from '../../failure.ts'

export const create = defineCommand({
  summary: 'Make an API key; it is shown once',
  details:
    'With -n it works in that namespace only. Use it by AGENTCTL_API_KEY, or agentctl login --with-token.',
  args: { name: required('name', 'what it is for, such as ci') },
  options: {
    scope: choicesOf(
      '-s, --scope <scope...>',
      'what it may do; agents:read and agents:write unless told',
      scopes,
    ),
    expires: wholeNumber('--expires-in-days <days>', 'when it ends (default 90)', { min: 1, max: 3650 }),
    never: flag('--never-expires', 'it works until it is revoked'),
  },
  examples: [
    'agentctl keys create ci',
    'agentctl keys create ci -n demo --scope agents:read agents:write',
    'agentctl keys create monitor --scope agents:read --never-expires',
  ],
  async run(ctx, { name }, { scope, expires, never }) {
    if (never && expires !== undefined) {
      throw new Failure('usage', 'Give either --expires-in-days or --never-expires', {
        fix: 'See: agentctl keys create --help',
      })
    }
    const made = await ctx.api('POST /v1/keys', {
      body: {
        name,
        scopes: scope.length > 0 ? scope : ['agents:read', 'agents:write'],
        ...(ctx.explicitNamespace === undefined ? {} : { namespace: ctx.explicitNamespace }),
        ...(never ? { expiresInDays: null } : expires === undefined ? {} : { expiresInDays: expires }),
      },
    })
    ctx.out.note(
      `Key ${made.id}, ${made.scopes.join(', ')}${made.namespace === null ? '' : `, in ${made.namespace} only`}. ` +
        'It is shown this once:',
    )
    ctx.out.result(made, made.key)
  },
})
