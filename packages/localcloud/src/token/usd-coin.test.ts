import { readFileSync } from 'node:fs'
import { mnemonicToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { DEVELOPMENT_ACCOUNTS, DEVELOPMENT_MNEMONIC } from '../development-accounts.ts'
import { compiledTokenFile, compileToken } from './compile.ts'

test('the compiled token is what its source compiles to (else: node packages/localcloud/compile-token.ts)', () => {
  expect(readFileSync(compiledTokenFile, 'utf8') === compileToken()).toBe(true)
}, 60_000)

test('the development accounts follow from their phrase', () => {
  for (const [addressIndex, account] of DEVELOPMENT_ACCOUNTS.entries()) {
    const derived = mnemonicToAccount(DEVELOPMENT_MNEMONIC, { addressIndex })
    const privateKey = `0x${Buffer.from(derived.getHdKey().privateKey ?? []).toString('hex')}`
    expect(account).toEqual({ address: derived.address, privateKey })
  }
  expect(DEVELOPMENT_ACCOUNTS).toHaveLength(10)
})
