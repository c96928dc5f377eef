import { spawn } from 'node:child_process'

/** Shows a page to the person who watches; false where there is nothing to show it with. */
export function openBrowser(address: string): boolean {
  const url = URL.parse(address)
  // What a service calls an address must not become an option or a file of this machine.
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const child = spawn(program, [url.href], { stdio: 'ignore', detached: true })
  // No browser here: the address is printed, which is all that can be done.
  child.on('error', () => {})
  child.unref()
  return child.pid !== undefined
}
