import type { Context } from '../context.ts'
import { readAgentFile } from '../deploy/agent-file.ts'
import { nameOfFolder } from '../deploy/detect.ts'
import { Failure } from '../failure.ts'

/** The agent that is named; else the one of the agent.json in the current folder, in its namespace. */
export async function chosenAgent(
  ctx: Context,
  named: string | undefined,
): Promise<{ agent: string; namespace: string | undefined }> {
  if (named !== undefined) return { agent: named, namespace: ctx.namespace() }
  const file = await readAgentFile(ctx.cwd)
  const agent = file && (file.name ?? nameOfFolder(ctx.cwd))
  if (agent === undefined) {
    throw new Failure('missing_answer', 'There is no agent.json here that says which agent is meant', {
      fix: 'Give --agent NAME',
    })
  }
  return { agent, namespace: ctx.explicitNamespace ?? file?.namespace ?? ctx.namespace() }
}
