// Loaded before the worker of a control run, with the name of what it does naively: that module is replaced by the
// naive one beside this file. It shows that the harness notices what the real worker avoids.
import { registerHooks } from 'node:module'

const naive: Record<string, string> = {
  // The provider never finds a machine by its label, so a create whose answer was lost is done again.
  'naive-machines.ts': 'providers/machines/vultr.ts',
  // Credits are not part of the transaction that notes them, and have no key by which they are known again.
  'naive-ledger.ts': 'billing/ledger.ts',
}
const chosen = process.env.CRASH_NAIVE ?? ''

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context)
    const isAskedByProgram =
      resolved.url.endsWith(`/${naive[chosen]}`) && !context.parentURL?.endsWith(chosen)
    return isAskedByProgram ? nextResolve(new URL(chosen, import.meta.url).href, context) : resolved
  },
})
