import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readDatabaseUrl } from './database-url.ts'
import { openPool } from './db.ts'

const REMOTE = 'postgres://app:pw@db.example.com:16751/agentctl'

test('a database on this machine may do without encryption', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '[::1]']) {
    for (const mode of ['', '?sslmode=disable']) {
      expect(readDatabaseUrl(`postgres://u:p@${host}:5432/x${mode}`).ssl).toBe(false)
    }
  }
})

test('a database elsewhere is reached with verify-full and with nothing less', () => {
  expect(readDatabaseUrl(`${REMOTE}?sslmode=verify-full`)).toEqual({
    url: REMOTE,
    ssl: { rejectUnauthorized: true },
  })
  for (const mode of ['', '?sslmode=disable', '?application_name=verify-full']) {
    expect(() => readDatabaseUrl(REMOTE + mode), mode).toThrow('needs sslmode=verify-full')
  }
  for (const mode of ['allow', 'prefer', 'require', 'verify-ca', 'VERIFY-FULL', 'no-verify', '']) {
    expect(() => readDatabaseUrl(`${REMOTE}?sslmode=${mode}`), mode).toThrow('Use sslmode=verify-full')
  }
  for (const host of ['10.1.2.3', '128.0.0.1', 'localhost.example.com', '127.0.0.1.example.com', '[::2]']) {
    expect(() => readDatabaseUrl(`postgres://u:p@${host}/x`), host).toThrow('needs sslmode=verify-full')
  }
})

test('what would get around that is refused, and no refusal has the password in it', () => {
  for (const text of [
    'not a url',
    'https://db.example.com/x',
    `${REMOTE}?sslmode=verify-full&ssl=false`,
    'postgres://u:secret@localhost/x?host=db.example.com',
    `postgres://u:secret@db.example.com/x?sslmode=secret;drop`,
    `${REMOTE}?sslmode=verify-full&sslrootcert=/no/such/file.pem`,
  ]) {
    expect(() => readDatabaseUrl(text), text).toThrow(/^(must|has|names) (?!.*secret)/)
  }
})

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    process.stdout.write('There is no openssl to make certificates: what TLS refuses is not shown.\n')
    return false
  }
})()

describe.runIf(hasOpenssl)('over a connection', () => {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-test-tls-'))
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  const path = (name: string): string => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })

  /** An authority, and a certificate of it for this name. */
  const certify = (authority: string, name: string): void => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      `${authority}.key`,
      '-out',
      `${authority}.pem`,
      '-subj',
      '/CN=ca',
    )
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(path('names'), `subjectAltName=DNS:${name}`)
    const signing = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial']
    openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.pem`, '-extfile', 'names')
  }

  /** The real PostgreSQL behind a front that takes TLS as PostgreSQL does; without a name it refuses to. */
  const front = async (name: string | undefined): Promise<number> => {
    const secureContext = name
      ? createSecureContext({
          key: readFileSync(path(`${name}.key`)),
          cert: readFileSync(path(`${name}.pem`)),
        })
      : undefined
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(secureContext ? 'S' : 'N')
        if (!secureContext) return
        const secure = new TLSSocket(socket, { isServer: true, secureContext })
        const { hostname, port } = new URL(inject('postgresUrl'))
        const back = connect(Number(port), hostname)
        for (const side of [secure, back]) side.on('error', () => socket.destroy())
        secure.pipe(back).pipe(secure)
      })
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  beforeAll(() => {
    certify('ours', 'localhost')
    certify('theirs', 'elsewhere.example')
  })
  afterAll(() => {
    for (const server of servers) server.close()
    for (const socket of sockets) socket.destroy()
    rmSync(folder, { recursive: true })
  })

  const ask = async (port: number, authority: string): Promise<unknown> => {
    const url = new URL(inject('postgresUrl'))
    url.host = `localhost:${port}`
    url.search = `?sslmode=verify-full&sslrootcert=${path(`${authority}.pem`)}`
    const sql = openPool(url.href, { connectionsMax: 1 })
    try {
      return (await sql`select 7 as n`)[0]?.n
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  test('the database that the certificate names is talked to', async () => {
    expect(await ask(await front('localhost'), 'ours')).toBe(7)
  })

  test('one that an authority of somebody else vouches for is not', async () => {
    await expect(ask(await front('localhost'), 'theirs')).rejects.toThrow(/certificate|signature/)
  })

  test('one with the certificate of another name is not', async () => {
    await expect(ask(await front('elsewhere.example'), 'theirs')).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  })

  test('one that has no TLS is not talked to in the clear', async () => {
    await expect(ask(await front(undefined), 'ours')).rejects.toThrow()
  })
})
