import { randomUUID } from 'node:crypto'
import type { DeployPlan } from '@agentctl/contract/agents.ts'
import type { BodyOf, ResponseOf } from '@agentctl/contract/api.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import type { FolderFile } from './folder.ts'
import { type Uploaded, uploadMissing } from './upload.ts'

type DeployRequest = BodyOf<'POST /v1/deploys'>
type Deployed = ResponseOf<'POST /v1/deploys'>

/** A blob that the service dropped between plan and deploy is sent once more. */
export async function uploadAndDeploy(
  ctx: Context,
  work: { plan: DeployPlan; request: DeployRequest; files: FolderFile[] },
): Promise<{ uploaded: Uploaded; deployed: Deployed }> {
  const { request, files } = work
  const uploaded: Uploaded = { files: 0, bytes: 0 }
  let { missing, missingBytes } = work.plan.upload
  for (let again = false; ; again = true) {
    if (missing.length > 0) {
      const progress = ctx.progress(`Uploading ${missing.length} files, ${sized(missingBytes)}`)
      try {
        const { namespace } = work.plan.agent
        const sent = await uploadMissing(ctx, { files, missing, namespace }, (bytes) => {
          if (ctx.watched)
            progress.say(`Uploading ${missing.length} files: ${sized(bytes)} of ${sized(missingBytes)}`)
        })
        uploaded.files += sent.files
        uploaded.bytes += sent.bytes
      } finally {
        progress.stop()
      }
    }
    // From here on the release may be there, even if its answer is not waited for.
    ctx.onInterrupt(`Whether it was deployed is not known yet: agentctl agents releases ${request.name}`)
    try {
      const deployed = await ctx.api('POST /v1/deploys', {
        body: request,
        idempotencyKey: randomUUID(),
        timeoutSeconds: 60,
      })
      return { uploaded, deployed }
    } catch (error) {
      if (again || !(error instanceof Failure) || error.code !== 'blobs_missing') throw error
      const fresh = await ctx.api('POST /v1/deploys/plan', { body: request, repeatable: true })
      missing = fresh.upload.missing
      missingBytes = fresh.upload.missingBytes
    }
  }
}

export function sized(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
