import type { Erasure } from '@agentctl/contract/privacy.ts'
import { pause } from '../api-client.ts'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'

export interface ErasureWish {
  id: string
  token: string
}

const LOOK_MS = 1000

/** How far an erasure is; by its id and token alone, for nobody is logged in any more. */
export const lookAtErasure = (ctx: Context, { id, token }: ErasureWish): Promise<Erasure> =>
  ctx.api('POST /v1/erasures/:erasure', {
    params: { erasure: id },
    body: { token },
    token: null,
    repeatable: true,
  })

/** Waits until an erasure has ended; still in progress when the time is up. */
export async function waitForErasure(
  ctx: Context,
  wish: ErasureWish,
  timeoutSeconds: number,
): Promise<Erasure> {
  const deadline = Date.now() + timeoutSeconds * 1000
  const progress = ctx.progress('Taking everything away')
  try {
    for (;;) {
      const erasure = await lookAtErasure(ctx, wish)
      if (erasure.status === 'done') return erasure
      if (Date.now() > deadline) {
        throw new Failure(
          'still_in_progress',
          'The account is closed; what it had is still being taken away',
          {
            fix: 'It goes on by itself. Its receipt: agentctl account receipt',
            next: ['agentctl account receipt'],
            document: erasure,
          },
        )
      }
      await pause(LOOK_MS, ctx.signal)
    }
  } finally {
    progress.stop()
  }
}
