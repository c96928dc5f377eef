import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { exitCodeOf } from './failure.ts'
import { program } from './program.ts'
import { type Answers, type FakeApi, refusal, startFakeApi } from './testing/fake-api.ts'
import { type Machine, newMachine } from './testing/run-cli.ts'

let machine: Machine
let api: FakeApi | undefined
beforeAll(async () => {
  machine = await newMachine()
})
afterAll(() => machine.remove())
afterEach(async () => {
  await api?.close()
  api = undefined
})

const key = `actl_k_${'A'.repeat(36)}`

/** Runs against an API that answers what a test says, with an API key. */
async function withApi(answers: Answers) {
  api = await startFakeApi(answers)
  return { AGENTCTL_API_URL: api.url, AGENTCTL_API_KEY: key }
}

const me = {
  account: { id: 'acc_1' },
  namespaces: [{ name: 'demo', role: 'owner' as const }],
  loginMethods: ['wallet' as const],
  via: 'key' as const,
}

describe('help', () => {
  test('the first page, which loads nothing, is the one that the tree gives', async () => {
    const { code, stdout, stderr } = await machine.run(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const again = await machine.run(['--no-color', '--help'])
    expect(again.stdout).toBe(stdout)
    expect(await machine.run([])).toEqual({ code: 0, stdout, stderr: '' })
  })

  test('every page fits 80 columns and shows an example', async () => {
    const { stdout } = await machine.run(['commands'])
    const { commands }: { commands: { command: string }[] } = JSON.parse(stdout)
    const pages = await Promise.all(
      [...commands.map(({ command }) => command), ...Object.keys(program.commands)].map(async (command) => ({
        command,
        ...(await machine.run([...command.split(' '), '--help'])),
      })),
    )
    for (const page of pages) {
      const wide = page.stdout.split('\n').filter((line) => line.length > 80 && !line.startsWith('  $ '))
      expect({ command: page.command, code: page.code, wide }).toEqual({
        command: page.command,
        code: 0,
        wide: [],
      })
      expect(page.stdout).toMatch(/Examples:|Help for one of them:/)
    }
    // A process for each of some ninety pages: under load that takes more than the usual half minute.
  }, 120_000)

  test('of a command', async () => {
    const { stdout } = await machine.run(['keys', 'create', '--help'])
    expect(stdout).toMatchInlineSnapshot(`
      "Usage: agentctl keys create <name> [options]

      Make an API key; it is shown once.

      With -n it works in that namespace only. Use it by AGENTCTL_API_KEY, or agentctl
      login --with-token.

      Arguments:
        name  what it is for, such as ci

      Options:
        -s, --scope <scope...>        what it may do; agents:read and agents:write
                                      unless told (agents:read, agents:write,
                                      domains:write, billing:read, billing:write,
                                      keys:manage)
            --expires-in-days <days>  when it ends (default 90)
            --never-expires           it works until it is revoked
        -h, --help                    this help

      Global options:
            --json              one JSON document on stdout, errors as JSON on stderr
        -n, --namespace <name>  namespace to work in
            --api-url <url>     address of the API
            --no-input          never ask; a missing answer is exit 2
        -q, --quiet             results only, no talk
            --debug             show requests and timings, never secrets
            --no-color          plain text

      Examples:
        $ agentctl keys create ci
        $ agentctl keys create ci -n demo --scope agents:read agents:write
        $ agentctl keys create monitor --scope agents:read --never-expires
      "
    `)
  })

  test('of a group, also by the word help', async () => {
    const { stdout } = await machine.run(['secrets', '--help'])
    expect(stdout).toMatchInlineSnapshot(`
      "Usage: agentctl secrets <command> [options]

      Give agents secrets, kept encrypted and never shown again.

      Commands:
        set     Set a secret, from a prompt, stdin or a file
        list    List the names of secrets; their values are never shown
        unset   Remove secrets
        import  Set all secrets of a .env file, or none if one line is wrong

      Global options:
            --json              one JSON document on stdout, errors as JSON on stderr
        -n, --namespace <name>  namespace to work in
            --api-url <url>     address of the API
            --no-input          never ask; a missing answer is exit 2
        -q, --quiet             results only, no talk
            --debug             show requests and timings, never secrets
            --no-color          plain text

      Help for one of them: agentctl secrets set --help
      "
    `)
    expect((await machine.run(['help', 'secrets'])).stdout).toBe(stdout)
  })
})

describe('wrong usage is exit 2 and says what was meant', () => {
  test.each([
    [['depoly']],
    [['agents', 'lst']],
    [['frobnicate']],
    [['agents']],
    [['deploy', '--dryrun']],
    [['--jsn', 'whoami']],
    [['agents', 'show']],
    [['deploy', 'a', 'b']],
    [['deploy', '--size', 'huge']],
    [['deploy', '--timeout', 'soon']],
    [['keys', 'create', 'ci', '--scope', 'agents:raed']],
    [['whoami', '--api-url', 'ftp://example.com']],
  ])('%j', async (args) => {
    const { code, stdout, stderr } = await machine.run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatchSnapshot()
    const json = await machine.run([...args, '--json'])
    expect({ code: json.code, stdout: json.stdout }).toEqual({ code: 2, stdout: '' })
    expect(JSON.parse(json.stderr)).toEqual({
      error: {
        code: 'usage',
        message: expect.any(String),
        fix: expect.any(String),
        requestId: null,
        next: expect.any(Array),
      },
    })
  })
})

describe('output', () => {
  test('people read a table, programs one document', async () => {
    const env = await withApi({ 'GET /v1/whoami': () => me })
    const people = await machine.run(['whoami'], { env })
    expect(people).toMatchObject({ code: 0, stderr: '' })
    expect(people.stdout.replace(/http:\S+/, 'URL')).toMatchInlineSnapshot(`
      "account     acc_1
      namespaces  demo (owner)
      logs in by  wallet
      via         API key
      api         URL
      "
    `)
    const programs = await machine.run(['--json', 'whoami'], { env })
    expect({ ...programs, stdout: JSON.parse(programs.stdout) }).toEqual({ code: 0, stdout: me, stderr: '' })
    expect(api?.asked[0]?.headers.authorization).toBe(`Bearer ${key}`)
  })

  test('a refusal is told with its fix and exit code, as one JSON object with --json', async () => {
    const env = await withApi({ 'GET /v1/whoami': () => refusal('unauthenticated', 'The key has expired') })
    expect(await machine.run(['whoami'], { env })).toMatchInlineSnapshot(`
      {
        "code": 4,
        "stderr": "error: The key has expired
      Run: agentctl login
      ",
        "stdout": "",
      }
    `)
    const { code, stdout, stderr } = await machine.run(['whoami', '--json'], { env })
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(JSON.parse(stderr)).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "unauthenticated",
          "fix": "Run: agentctl login",
          "message": "The key has expired",
          "next": [
            "agentctl login",
          ],
          "requestId": "req_1",
        },
      }
    `)
  })

  test('a page of a proxy instead of an answer is told by its status', async () => {
    const env = await withApi({
      'GET /v1/whoami': () => ({ status: 502, body: '<html>', headers: { 'content-type': 'text/html' } }),
    })
    const { code, stderr } = await machine.run(['whoami'], { env })
    expect(code).toBe(7)
    expect(stderr.replace(/127[.\d:]+/, 'HOST')).toMatchInlineSnapshot(`
      "error: HOST answered 502 without saying why
      Try again in a minute.
      request: req_1
      "
    `)
  })

  test('nobody listening is exit 7 and names the address', async () => {
    const { code, stderr } = await machine.run(['whoami'], {
      env: { AGENTCTL_API_URL: 'http://127.0.0.1:9', AGENTCTL_API_KEY: key },
    })
    expect(code).toBe(7)
    expect(stderr).toMatchInlineSnapshot(`
      "error: Cannot reach http://127.0.0.1:9: bad port
      Check --api-url and your network: agentctl doctor
      "
    `)
  })

  test('--debug shows requests and never a token', async () => {
    const env = await withApi({ 'GET /v1/whoami': () => me })
    const { stderr } = await machine.run(['whoami', '--debug'], { env })
    expect(stderr).toMatch(/^debug: GET \/v1\/whoami → 200 in \d+ ms, request req_1$/m)
    expect(stderr).not.toContain('AAAA')
  })

  test('a reader that goes away ends the program quietly', async () => {
    const env = await withApi({ 'GET /v1/whoami': () => me })
    const running = machine.start(['commands'], { env })
    running.child.stdout?.destroy()
    const { stderr } = await running.ended
    expect(stderr).toBe('')
  })

  test('a bug is one clear line; its stack comes with --debug', async () => {
    const env = await withApi({
      'GET /v1/whoami': () => ({ status: 200, body: '{}', headers: { 'content-type': 'application/json' } }),
    })
    const plain = await machine.run(['whoami'], { env })
    expect(plain.code).toBe(exitCodeOf('unexpected'))
    expect(plain.stderr).toMatchInlineSnapshot(`
      "error: agentctl itself went wrong: Cannot read properties of undefined (reading 'id')
      Run the command again with --debug and report what it prints.
      "
    `)
    const debug = await machine.run(['whoami', '--debug'], { env })
    expect(debug.stderr).toContain('    at ')
  })
})

describe('nothing is asked where nobody is', () => {
  test.each([
    [['login'], '--phone NUMBER, --wallet, or --with-token'],
    [['login', '--wallet'], '--keystore'],
    [['login', '--phone', '+821012345678', '--no-input'], '--code'],
    [['agents', 'delete', 'hello'], '--yes'],
    [['namespaces', 'delete', 'demo'], '--yes'],
    [['keys', 'revoke', 'key_1'], '--yes'],
    [['init'], '--template'],
  ])('%j is exit 2 and names %s', async (args, flagName) => {
    const env = await withApi({
      'POST /v1/logins/phone': () => ({
        challengeId: 'chl_1',
        expiresAt: new Date(Date.now() + 300_000).toISOString(),
        resendAt: new Date().toISOString(),
      }),
      'GET /v1/agents/:agent': () => agent,
    })
    const cwd = join(machine.home, 'empty')
    mkdirSync(cwd, { recursive: true })
    const { code, stdout, stderr } = await machine.run(args, { env, cwd })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(flagName)
  })
})

const agent = {
  id: 'agt_1',
  name: 'hello',
  namespace: 'demo',
  url: 'http://hello-demo.agents.localhost:8788',
  status: 'running' as const,
  size: 'small' as const,
  region: 'icn',
  release: { id: 'rel_1', number: 1 },
  domains: [],
  suspendsAt: null,
  transfer: null,
  step: null,
  snapshotDeletedAt: null,
}

describe('what only needs this machine', () => {
  test('init writes a template that says how it starts, and its schema', async () => {
    const made = await machine.run(['init', 'my-agent', '--template', 'node'])
    expect(made).toMatchInlineSnapshot(`
      {
        "code": 0,
        "stderr": "Next: agentctl deploy my-agent
      ",
        "stdout": "Wrote my-agent/package.json, my-agent/index.js, my-agent/agent.schema.json, my-agent/agent.json
      ",
      }
    `)
    const folder = join(machine.home, 'my-agent')
    expect(readFileSync(join(folder, 'agent.json'), 'utf8')).toMatchInlineSnapshot(`
      "{
        "$schema": "./agent.schema.json",
        "name": "my-agent",
        "size": "small",
        "start": "node index.js",
        "health": {
          "path": "/health"
        }
      }
      "
    `)
    expect(existsSync(join(folder, 'agent.schema.json'))).toBe(true)
    const again = await machine.run(['init', 'my-agent', '--json'])
    expect(again.code).toBe(1)
    expect(JSON.parse(again.stderr).error).toMatchObject({ code: 'conflict', next: ['agentctl deploy'] })
  })

  test('init finds what a folder holds', async () => {
    const folder = join(machine.home, 'found')
    mkdirSync(folder)
    writeFileSync(join(folder, 'requirements.txt'), 'flask\n')
    writeFileSync(join(folder, 'app.py'), '')
    expect((await machine.run(['init', 'found'])).code).toBe(0)
    expect(JSON.parse(readFileSync(join(folder, 'agent.json'), 'utf8'))).toEqual({
      $schema: './agent.schema.json',
      name: 'found',
      size: 'small',
      install:
        'python3 -m venv .venv && .venv/bin/pip install --disable-pip-version-check -r requirements.txt',
      start: '.venv/bin/python -u app.py',
    })
  })

  test('completion and commands know every command', async () => {
    const { stdout } = await machine.run(['commands', '--json'])
    const tree: { commands: { command: string }[]; exitCodes: Record<string, string> } = JSON.parse(stdout)
    expect(tree.commands.map(({ command }) => command)).toMatchInlineSnapshot(`
      [
        "login",
        "logout",
        "whoami",
        "init",
        "deploy",
        "agents list",
        "agents show",
        "agents logs",
        "agents open",
        "agents start",
        "agents stop",
        "agents restart",
        "agents releases",
        "agents rollback",
        "agents export",
        "agents import",
        "agents delete",
        "secrets set",
        "secrets list",
        "secrets unset",
        "secrets import",
        "domains add",
        "domains list",
        "domains check",
        "domains wait",
        "domains remove",
        "namespaces create",
        "namespaces list",
        "namespaces use",
        "namespaces rename",
        "namespaces delete",
        "members add",
        "members join",
        "members list",
        "members set-role",
        "members remove",
        "keys create",
        "keys list",
        "keys rotate",
        "keys revoke",
        "billing balance",
        "billing deposit",
        "billing usage",
        "billing history",
        "billing limits",
        "billing prices",
        "billing verify",
        "account show",
        "account update",
        "account export",
        "account delete",
        "account receipt",
        "account webhook set",
        "account webhook show",
        "account webhook test",
        "account webhook remove",
        "account sessions list",
        "account sessions revoke",
        "notices",
        "policy show",
        "policy verify",
        "operator find",
        "operator suspend",
        "operator unsuspend",
        "operator cap",
        "operator ban",
        "operator credit",
        "operator payments",
        "operator resolve",
        "operator cards",
        "operator accept",
        "operator refund",
        "operator warm",
        "operator rights",
        "operator note",
        "operator answer",
        "operator operations",
        "operator retry",
        "operator requests",
        "operator log",
        "doctor",
        "completion",
        "commands",
      ]
    `)
    expect(Object.keys(tree.exitCodes)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '130'])
    for (const shell of ['bash', 'zsh', 'fish']) {
      const script = await machine.run(['completion', shell])
      expect(script.code).toBe(0)
      for (const { command } of tree.commands) expect(script.stdout).toContain(`'${command}'`)
    }
  })
})

describe('the file that holds tokens', () => {
  test('is for its owner alone, in a folder for its owner alone', async () => {
    const env = await withApi({ 'GET /v1/whoami': () => me })
    const { code, stdout } = await machine.run(['login', '--with-token', '--json'], {
      env: { AGENTCTL_API_URL: env.AGENTCTL_API_URL },
      input: `${key}\n`,
    })
    expect(code).toBe(0)
    expect(stdout).not.toContain(key)
    const config = join(machine.home, 'config')
    expect(statSync(config).mode & 0o777).toBe(0o700)
    expect(statSync(join(config, 'config.json')).mode & 0o777).toBe(0o600)
  })
})
