import { type Role, roles } from '@agentctl/contract/endpoint.ts'
import { expect, test } from 'vitest'
import { openPool } from '../platform/db.ts'
import { newToken } from '../platform/tokens.ts'
import { testIdentity } from './test-identity.ts'

const identity = await testIdentity()
const { call, clock } = identity

let names = 0
const newName = () => {
  names += 1
  return `space-${names}`
}
const refusal = (reply: { status: number; text: string }) =>
  `${reply.status} ${reply.text.replace(/req_\w+/, 'req')}`

async function newNamespace() {
  const owner = await identity.newAccount()
  const name = newName()
  const made = await call('POST /v1/namespaces', { token: owner.token, body: { name } })
  expect(made.status, made.text).toBe(201)
  return { owner, name, id: String(made.json.id) }
}

async function invite(token: string, name: string, role: Role) {
  return call(`POST /v1/namespaces/${name}/invitations`, { token, body: { role } })
}

async function join(ownerToken: string, name: string, role: Role) {
  const account = await identity.newAccount()
  const { json } = await invite(ownerToken, name, role)
  const joined = await call('POST /v1/invitations/accept', {
    token: account.token,
    body: { code: json.code },
  })
  expect(joined.json).toMatchObject({ name, role })
  return account
}

/** An agent as another room would have made it. */
async function insertAgent(namespaceId: string, status: string): Promise<string> {
  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  const id = `agt_${names}${status}`
  await sql`
    insert into agents (id, namespace_id, name, label, size, status, created_at, used_at)
    values (${id}, ${namespaceId}, 'hello', ${id.replace('_', '-')}, 'nano', ${status}, ${clock.now()}, ${clock.now()})`
  await sql.end()
  return id
}

test('a namespace is made, listed, renamed and deleted, and its name is free again', async () => {
  const { owner, name } = await newNamespace()
  const { token } = owner
  const renamed = newName()
  const reply = await call(`PATCH /v1/namespaces/${name}`, { token, body: { name: renamed } })
  expect(reply.json).toMatchObject({ name: renamed, role: 'owner' })
  const { namespaces } = (await call('GET /v1/namespaces', { token })).json as {
    namespaces: { name: string }[]
  }
  expect(namespaces.map((each) => each.name)).toContain(renamed)
  expect((await call(`DELETE /v1/namespaces/${renamed}`, { token })).status).toBe(204)
  const other = await identity.newAccount()
  const again = await call('POST /v1/namespaces', { token: other.token, body: { name: renamed } })
  expect(again.status).toBe(201)
})

test('a name that somebody has is taken, for a new namespace and for a renamed one', async () => {
  const [one, other] = [await newNamespace(), await newNamespace()]
  const body = { name: one.name }
  const made = await call('POST /v1/namespaces', { token: other.owner.token, body })
  expect(made.json.code).toBe('name_taken')
  const renamed = await call(`PATCH /v1/namespaces/${other.name}`, { token: other.owner.token, body })
  expect(renamed.json.code).toBe('name_taken')
})

test('of accounts that want the same name at once, for a new namespace or for theirs, one has it', async () => {
  const spaces = await Promise.all(Array.from({ length: 8 }, () => newNamespace()))
  const body = { name: newName() }
  const replies = await Promise.all(
    spaces.map(({ owner: { token }, name }, at) =>
      call(at % 2 === 0 ? 'POST /v1/namespaces' : `PATCH /v1/namespaces/${name}`, { token, body }),
    ),
  )
  expect(replies.filter(({ status }) => status < 300)).toHaveLength(1)
  const refused = replies.filter(({ status }) => status >= 300)
  expect(refused.map(({ json }) => json.code)).toEqual(Array(7).fill('name_taken'))
})

test('a namespace with agents stays, and one whose agents are gone leaves their addresses taken', async () => {
  const { owner, name, id } = await newNamespace()
  const { token } = owner
  const agent = await insertAgent(id, 'running')
  expect((await call(`DELETE /v1/namespaces/${name}`, { token })).json.code).toBe('namespace_not_empty')
  const sql = openPool(identity.databaseUrl, { connectionsMax: 1 })
  await sql`update agents set status = 'deleted' where id = ${agent}`
  expect((await call(`DELETE /v1/namespaces/${name}`, { token })).status).toBe(204)
  expect((await call(`GET /v1/namespaces/${name}/members`, { token })).status).toBe(404)
  expect((await call(`GET /v1/namespaces/${id}/members`, { token })).status).toBe(404)
  expect(await sql`select label from agents where id = ${agent}`).toHaveLength(1)
  await sql.end()
  expect((await call('POST /v1/namespaces', { token, body: { name } })).status).toBe(201)
})

test('an account keeps at least one namespace, also when two are deleted at once', async () => {
  const { owner } = await newNamespace()
  const { token } = owner
  const listed = (await call('GET /v1/namespaces', { token })).json as { namespaces: { name: string }[] }
  const replies = await Promise.all(
    listed.namespaces.map(({ name }) => call(`DELETE /v1/namespaces/${name}`, { token })),
  )
  expect(replies.map(({ status }) => status).sort()).toEqual([204, 409])
})

test('to a stranger a namespace looks as if it did not exist, whatever is asked of it', async () => {
  const { owner, name } = await newNamespace()
  const { token } = await identity.newAccount()
  const requests = (namespace: string): [string, unknown][] => [
    [`GET /v1/namespaces/${namespace}/members`, undefined],
    [`PATCH /v1/namespaces/${namespace}`, { name: newName() }],
    [`DELETE /v1/namespaces/${namespace}`, undefined],
    [`POST /v1/namespaces/${namespace}/invitations`, { role: 'viewer' }],
    [`PATCH /v1/namespaces/${namespace}/members/${owner.accountId}`, { role: 'viewer' }],
    [`DELETE /v1/namespaces/${namespace}/members/${owner.accountId}`, undefined],
  ]
  const missing = requests('no-such-space')
  for (const [index, [route, body]] of requests(name).entries()) {
    const foreign = await call(route, { token, ...(body ? { body } : {}) })
    const absent = await call(missing[index]?.[0] ?? '', { token, ...(body ? { body } : {}) })
    expect(foreign.status, route).toBe(404)
    expect(refusal(foreign)).toBe(refusal(absent))
  }
})

test('an invitation is good for one new member and seven days', async () => {
  const { owner, name } = await newNamespace()
  const [first, second, late] = [
    await identity.newAccount(),
    await identity.newAccount(),
    await identity.newAccount(),
  ]
  const accept = (token: string, code: unknown) =>
    call('POST /v1/invitations/accept', { token, body: { code } })
  const { json } = await invite(owner.token, name, 'developer')
  const both = await Promise.all([accept(first.token, json.code), accept(second.token, json.code)])
  expect(both.map(({ status }) => status).sort()).toEqual([200, 404])

  const old = await invite(owner.token, name, 'viewer')
  expect((await accept(owner.token, old.json.code)).json.code).toBe('conflict')
  clock.advance(7 * 86_400)
  const expired = await accept(late.token, old.json.code)
  const used = await accept(late.token, json.code)
  const unknown = await accept(late.token, newToken('i').reveal())
  const nonsense = await accept(late.token, 'hello')
  expect(new Set([expired, used, unknown, nonsense].map(refusal)).size).toBe(1)
  expect(expired.json.code).toBe('invitation_invalid')
})

test('each role does what it may and nothing above', async () => {
  const { owner, name } = await newNamespace()
  const members = {
    owner,
    admin: await join(owner.token, name, 'admin'),
    developer: await join(owner.token, name, 'developer'),
    viewer: await join(owner.token, name, 'viewer'),
  }
  const subject = await join(owner.token, name, 'viewer')
  const second = await join(owner.token, name, 'owner')
  const asked = {
    'see members': () => ['GET', `/v1/namespaces/${name}/members`, undefined],
    'invite an admin': () => ['POST', `/v1/namespaces/${name}/invitations`, { role: 'admin' }],
    'invite an owner': () => ['POST', `/v1/namespaces/${name}/invitations`, { role: 'owner' }],
    'make a member admin': () => [
      'PATCH',
      `/v1/namespaces/${name}/members/${subject.accountId}`,
      { role: 'admin' },
    ],
    'make a member owner': () => [
      'PATCH',
      `/v1/namespaces/${name}/members/${subject.accountId}`,
      { role: 'owner' },
    ],
    'demote an owner': () => [
      'PATCH',
      `/v1/namespaces/${name}/members/${second.accountId}`,
      { role: 'viewer' },
    ],
    'remove an owner': () => ['DELETE', `/v1/namespaces/${name}/members/${second.accountId}`, undefined],
    rename: () => ['PATCH', `/v1/namespaces/${name}`, { name }],
    delete: () => ['DELETE', `/v1/namespaces/${name}`, undefined],
  } as const
  const allowed: Record<keyof typeof asked, Role> = {
    'see members': 'viewer',
    'invite an admin': 'admin',
    'invite an owner': 'owner',
    'make a member admin': 'admin',
    'make a member owner': 'owner',
    'demote an owner': 'owner',
    'remove an owner': 'owner',
    rename: 'admin',
    delete: 'owner',
  }
  for (const role of roles) {
    // Only what the role may not do: what it may do would change the members under this test.
    for (const [what, request] of Object.entries(asked)) {
      const may = roles.indexOf(role) >= roles.indexOf(allowed[what as keyof typeof asked])
      if (may && role === 'owner') continue
      const [method, path, body] = request()
      const reply = await call(`${method} ${path}`, {
        token: members[role].token,
        ...(body ? { body } : {}),
      })
      expect(reply.status === 403, `${role}: ${what} → ${reply.text}`).toBe(!may)
      if (what === 'make a member admin' && may) {
        await call(`PATCH ${path}`, { token: owner.token, body: { role: 'viewer' } })
      }
    }
  }
})

test('the last owner stays; with a second one the first may go, and the second pays', async () => {
  const { owner, name } = await newNamespace()
  const leave = (account: { token: string; accountId: string }) =>
    call(`DELETE /v1/namespaces/${name}/members/${account.accountId}`, { token: account.token })
  expect((await leave(owner)).json.code).toBe('last_owner')
  const demoted = await call(`PATCH /v1/namespaces/${name}/members/${owner.accountId}`, {
    token: owner.token,
    body: { role: 'admin' },
  })
  expect(demoted.json.code).toBe('last_owner')

  const second = await join(owner.token, name, 'owner')
  const both = await Promise.all([leave(owner), leave(second)])
  expect(both.map(({ status }) => status).sort()).toEqual([204, 409])
})

test('who pays for agents does not leave them behind', async () => {
  const { owner, name, id } = await newNamespace()
  const second = await join(owner.token, name, 'owner')
  await insertAgent(id, 'running')
  const path = `/v1/namespaces/${name}/members`
  const leaving = await call(`DELETE ${path}/${owner.accountId}`, { token: owner.token })
  expect(leaving.json.code).toBe('conflict')
  const removed = await call(`DELETE ${path}/${owner.accountId}`, { token: second.token })
  expect(removed.json.code).toBe('conflict')
  expect((await call(`DELETE ${path}/${second.accountId}`, { token: second.token })).status).toBe(204)
})

test('a member who leaves or loses the role takes the open invitations along', async () => {
  const { owner, name } = await newNamespace()
  const admin = await join(owner.token, name, 'admin')
  const { json } = await invite(admin.token, name, 'admin')
  await call(`PATCH /v1/namespaces/${name}/members/${admin.accountId}`, {
    token: owner.token,
    body: { role: 'viewer' },
  })
  const guest = await identity.newAccount()
  const joined = await call('POST /v1/invitations/accept', { token: guest.token, body: { code: json.code } })
  expect(joined.json.code).toBe('invitation_invalid')
})

test('a viewer may leave, and is a stranger then', async () => {
  const { owner, name } = await newNamespace()
  const viewer = await join(owner.token, name, 'viewer')
  const path = `/v1/namespaces/${name}/members`
  expect((await call(`DELETE ${path}/${viewer.accountId}`, { token: viewer.token })).status).toBe(204)
  expect((await call(`GET ${path}`, { token: viewer.token })).status).toBe(404)
  const { members } = (await call(`GET ${path}`, { token: owner.token })).json as {
    members: { accountId: string; you: boolean }[]
  }
  expect(members).toMatchObject([{ accountId: owner.accountId, you: true }])
})
