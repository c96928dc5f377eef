import { expect, test } from 'vitest'
import { checkSignInMessage } from './sign-in-message.ts'

const address = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
const message = (domain: string, who = address) =>
  `${domain} wants you to sign in with your Ethereum account:\n${who}\n\nLog in.\n\nURI: https://${domain}\nVersion: 1`

test.each([
  ['api.agentctl.dev', 'https://api.agentctl.dev'],
  ['agentctl.dev', 'https://api.agentctl.dev'],
  ['127.0.0.1:8787', 'http://127.0.0.1:8787'],
  ['localhost:8787', 'http://127.0.0.1:8787'],
])('a message of %s is signed for %s', (domain, apiUrl) => {
  expect(() => checkSignInMessage(message(domain), { apiUrl, address })).not.toThrow()
})

test.each([
  ['bank.example', 'https://api.agentctl.dev'],
  ['dev', 'https://api.agentctl.dev'],
  ['gentctl.dev', 'https://api.agentctl.dev'],
  ['localhost:9999', 'http://127.0.0.1:8787'],
  ['bank.example', 'http://127.0.0.1:8787'],
])('a message of %s is never signed for %s', (domain, apiUrl) => {
  expect(() => checkSignInMessage(message(domain), { apiUrl, address })).toThrow('it signs in to')
})

test('a text that is no sign-in message is never signed', () => {
  const apiUrl = 'https://api.agentctl.dev'
  expect(() => checkSignInMessage('I owe you everything', { apiUrl, address })).toThrow(
    'not a sign-in message',
  )
  const other = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
  expect(() => checkSignInMessage(message('agentctl.dev', other), { apiUrl, address })).toThrow(
    'another address',
  )
})
