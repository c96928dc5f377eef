import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLedgerKey } from '@agentctl/server/billing/ledger-key.ts'
import { openKeyring, openPepper } from '@agentctl/server/platform/keyring.ts'
import { CARD_EVENT_TYPES } from '@agentctl/server/providers/cards/card-event.ts'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/operate.md'), 'utf8')
const hasPrograms = ['jq', 'openssl'].every((name) => spawnSync('which', [name]).status === 0)
if (!hasPrograms)
  process.stdout.write('jq and openssl are not both here: commands of the page are not run.\n')

/** The block of commands in which this stands. */
function commandsWith(text: string): string {
  const found = [...page.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].filter(([, block = '']) =>
    block.includes(text),
  )
  expect(found, text).toHaveLength(1)
  return found[0]?.[1] ?? ''
}

test.runIf(hasPrograms)(
  'its commands make keys that no example replaces, and rotate them in two steps',
  () => {
    const checkout = mkdtempSync(join(tmpdir(), 'agentctl-operate-'))
    const secrets = join(checkout, 'deploy/k3s/production/secrets')
    const isKept = (path: string): boolean => !/secrets\/.*(?<!\.example)$/.test(path)
    cpSync(join(root, 'deploy/k3s'), join(checkout, 'deploy/k3s'), { recursive: true, filter: isKept })
    const run = (commands: string, cwd: string): string =>
      execFileSync('bash', ['-eu', '-c', commands], { cwd, encoding: 'utf8' })
    try {
      const made = run(`${commandsWith('keyring:k1')}\n${commandsWith('*.example')}\npwd`, checkout)
      expect(made.trim()).toBe(checkout)
      expect(existsSync(join(secrets, 'vultr.env'))).toBe(true)
      expect(openPepper(join(secrets, 'pepper.json')).versions).toEqual([1])
      expect(openLedgerKey(join(secrets, 'ledger-keys.json')).keyId).toBe('l1')
      const keyring = () => openKeyring(join(secrets, 'keyring.json'))
      const sealed = keyring().seal(Buffer.from('a secret'), 'row')
      expect(sealed.keyId).toBe('k1')

      const [first = '', second = ''] = commandsWith('# step one').trim().split('\n')
      run(first, secrets)
      expect(keyring().ids).toEqual(['k2', 'k1'])
      run(second, secrets)
      expect(keyring().seal(Buffer.from(''), 'row').keyId).toBe('k2')
      expect(keyring().open(sealed, 'row').toString()).toBe('a secret')
    } finally {
      rmSync(checkout, { recursive: true })
    }
  },
)

test('it names all that the card processor has to tell', () => {
  const [, named = ''] = /with the events (.+)\.$/m.exec(page) ?? []
  const patterns = [...named.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
  const isNamed = (type: string): boolean =>
    patterns.some((name) => (name.endsWith('.*') ? type.startsWith(name.slice(0, -1)) : type === name))
  expect(CARD_EVENT_TYPES.filter((type) => !isNamed(type))).toEqual([])
})
