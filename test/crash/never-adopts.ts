// Loaded before the worker of the control run: its provider never finds a machine by its label, so a create whose
// answer was lost is done again. It shows that the harness notices what the real worker avoids.
import { registerHooks } from 'node:module'

const REAL = 'providers/machines/vultr.ts'

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context)
    const isAskedByProgram = resolved.url.endsWith(REAL) && !context.parentURL?.includes('naive-machines')
    return isAskedByProgram
      ? nextResolve(new URL('naive-machines.ts', import.meta.url).href, context)
      : resolved
  },
})
