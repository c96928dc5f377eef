import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { AgentFile } from '@agentctl/contract/agent-config.ts'
import { afterEach, describe, expect, test } from 'vitest'

const examples = join(import.meta.dirname, '../examples')
const ends: (() => void)[] = []

afterEach(() => {
  for (const end of ends.splice(0)) end()
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'agentctl-example-'))
  ends.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs the start command of an example as a machine does: PORT, HOME and its own env, nothing else. */
async function start(name: string, home: string, environment: Record<string, string> = {}) {
  const folder = join(examples, name)
  const config = AgentFile.parse(JSON.parse(readFileSync(join(folder, 'agent.json'), 'utf8')))
  const child: ChildProcess = spawn(`exec ${config.start}`, {
    cwd: folder,
    shell: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: home,
      PORT: '0',
      ...config.env,
      ...environment,
    },
  })
  ends.push(() => child.kill('SIGKILL'))
  let said = ''
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.on('data', (bytes: Buffer) => {
      said += bytes
      const [, told] = /istening on port (\d+)/.exec(said) ?? []
      if (told !== undefined) resolve(Number(told))
    })
    child.once('exit', () => reject(new Error(`${name} ended: ${said}`)))
  })
  const health = await fetch(`http://127.0.0.1:${port}${config.health?.path}`)
  expect(health.status).toBe(200)
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      expect(await exited).toEqual([0, null])
    },
  }
}

test('hello-agent greets, counts, tells its watchers, and goes on counting after a restart', async () => {
  const home = newFolder()
  const first = await start('hello-agent', home, { GREETING: 'Good <morning>' })
  const events = await fetch(`${first.url}/events`)
  expect(events.headers.get('content-type')).toBe('text/event-stream')
  const reader = events.body?.getReader()
  const next = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value)
  expect(await next()).toContain('"visits":0')
  const page = await (await fetch(first.url)).text()
  expect(page).toContain('Good &#60;morning&#62;')
  expect(await next()).toContain('"visits":1')
  await reader?.cancel()
  await first.stop()
  const second = await start('hello-agent', home)
  expect(await (await fetch(`${second.url}/state`)).json()).toMatchObject({
    greeting: 'Hello from an agent',
    visits: 1,
  })
  await second.stop()
})

test('python-agent keeps notes over a restart', async ({ skip }) => {
  if (spawnSync('python3', ['--version']).status !== 0) skip('there is no python3 on this machine')
  const home = newFolder()
  const first = await start('python-agent', home)
  expect((await fetch(first.url, { method: 'POST', body: 'buy milk' })).status).toBe(201)
  expect((await fetch(first.url, { method: 'POST', body: 'x'.repeat(5000) })).status).toBe(413)
  await first.stop()
  const second = await start('python-agent', home)
  expect(await (await fetch(second.url)).json()).toMatchObject({ notes: ['buy milk'] })
  await second.stop()
})

test('chat-websocket passes what one says to all, and to those who come later', async () => {
  const chat = await start('chat-websocket', newFolder())
  const join = async (): Promise<{ socket: WebSocket; heard: string[] }> => {
    const socket = new WebSocket(`${chat.url.replace('http', 'ws')}/chat`)
    const heard: string[] = []
    socket.addEventListener('message', ({ data }) => {
      const { text } = JSON.parse(data)
      if (text !== undefined) heard.push(text)
    })
    await once(socket, 'open')
    return { socket, heard }
  }
  const [one, two] = [await join(), await join()]
  const long = 'ä'.repeat(200)
  one.socket.send('hello')
  one.socket.send(long)
  await expect
    .poll(() => [one.heard, two.heard])
    .toEqual([
      ['hello', long],
      ['hello', long],
    ])
  const late = await join()
  await expect.poll(() => late.heard).toEqual(['hello', long])
  const closed = once(two.socket, 'close')
  two.socket.close()
  await closed
  const [[goingAway]] = await Promise.all([once(one.socket, 'close'), chat.stop()])
  expect(goingAway).toMatchObject({ code: 1001 })
})

describe('mcp-server', () => {
  const call = async (url: string, message: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}/mcp`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      body: JSON.stringify(message),
    })
    const body = await response.text()
    return { status: response.status, answer: body === '' ? undefined : JSON.parse(body) }
  }
  const request = (method: string, params?: unknown) => ({ jsonrpc: '2.0', id: 1, method, params })
  const textOf = ({ answer }: { answer: { result: { content: { text: string }[] } } }) =>
    answer.result.content[0]?.text

  test('agrees on a revision, lists its tools, and remembers over a restart', async () => {
    const home = newFolder()
    const first = await start('mcp-server', home)
    const hello = await call(
      first.url,
      request('initialize', { protocolVersion: '2099-01-01', capabilities: {} }),
    )
    expect(hello.answer.result).toMatchObject({ protocolVersion: '2025-06-18', capabilities: { tools: {} } })
    const ready = await call(first.url, { jsonrpc: '2.0', method: 'notifications/initialized' })
    expect(ready).toEqual({ status: 202, answer: undefined })
    const { answer } = await call(first.url, request('tools/list'))
    expect(answer.result.tools.map(({ name }: { name: string }) => name)).toEqual(['remember', 'recall'])
    await call(
      first.url,
      request('tools/call', { name: 'remember', arguments: { text: 'The door code is on paper' } }),
    )
    await first.stop()
    const second = await start('mcp-server', home)
    const found = await call(
      second.url,
      request('tools/call', { name: 'recall', arguments: { query: 'DOOR' } }),
    )
    expect(textOf(found)).toContain('The door code is on paper')
    await second.stop()
  })

  test('tells a model what was wrong, and a program which method is unknown', async () => {
    const { url, stop } = await start('mcp-server', newFolder())
    const wrong = await call(url, request('tools/call', { name: 'remember', arguments: { text: '' } }))
    expect(wrong.answer.result).toMatchObject({ isError: true })
    expect((await call(url, request('resources/list'))).answer.error.code).toBe(-32601)
    expect((await call(url, request('tools/call', { name: 'constructor' }))).answer.error.code).toBe(-32602)
    expect((await call(url, request('ping'), { 'mcp-protocol-version': '1999-01-01' })).status).toBe(400)
    expect((await fetch(`${url}/mcp`)).status).toBe(405)
    await stop()
  })

  test('lets nobody in without its token, nor a page of another site', async () => {
    const { url, stop } = await start('mcp-server', newFolder(), { MCP_TOKEN: 'a token' })
    expect((await call(url, request('ping'))).status).toBe(401)
    expect((await call(url, request('ping'), { authorization: 'Bearer another' })).status).toBe(401)
    expect((await call(url, request('ping'), { authorization: 'Bearer a token' })).status).toBe(200)
    const origin = { authorization: 'Bearer a token', origin: 'https://elsewhere.example' }
    expect((await call(url, request('ping'), origin)).status).toBe(403)
    await stop()
  })
})

describe('ci/deploy.sh', () => {
  const deployed = JSON.stringify({
    agent: { id: 'agt_1', url: 'http://hello.agents.localhost' },
    release: { id: 'rel_1', number: 7 },
  })

  /** Runs the script with a program in place of agentctl that plays these answers. */
  function run(answers: { plan: number; deploy?: number; show?: string }, key = 'actl_k_test') {
    const folder = newFolder()
    const program = join(folder, 'agentctl')
    writeFileSync(
      program,
      `#!/bin/sh
case "$*" in
  *--dry-run*) echo '{}'; exit ${answers.plan} ;;
  deploy*) echo '${deployed}'; echo '{"error":{"code":"x"}}' >&2; exit ${answers.deploy ?? 0} ;;
  agents*) echo '${answers.show ?? '{}'}' ;;
esac
`,
    )
    chmodSync(program, 0o755)
    writeFileSync(join(folder, 'sleep'), '#!/bin/sh\n')
    chmodSync(join(folder, 'sleep'), 0o755)
    const { status, stdout, stderr } = spawnSync(join(examples, 'ci/deploy.sh'), ['.'], {
      encoding: 'utf8',
      env: {
        PATH: `${folder}:${dirname(process.execPath)}:/usr/bin:/bin`,
        AGENTCTL: program,
        AGENTCTL_API_KEY: key,
      },
    })
    return { status, stdout, stderr }
  }

  test('ends with 0 when the release is live, and says where', () => {
    expect(run({ plan: 3 })).toMatchObject({
      status: 0,
      stdout: 'Release 7 is live: http://hello.agents.localhost\n',
    })
  })

  test('ends with 0 when there is nothing to do', () => {
    expect(run({ plan: 0, deploy: 1 })).toMatchObject({ status: 0, stdout: 'Nothing has changed.\n' })
  })

  test.each([1, 4, 5, 7])('hands on exit code %i and what was said about it', (code) => {
    expect(run({ plan: 3, deploy: code })).toMatchObject({
      status: code,
      stderr: expect.stringContaining('"code":"x"'),
    })
  })

  test('hands on a refusal of the plan', () => {
    expect(run({ plan: 2 })).toMatchObject({ status: 2 })
  })

  test('looks again while the release is still in progress', () => {
    const live = JSON.stringify({ status: 'running', release: { id: 'rel_1', number: 7 } })
    expect(run({ plan: 3, deploy: 8, show: live })).toMatchObject({ status: 0 })
    const failing = JSON.stringify({ status: 'failing', release: null })
    expect(run({ plan: 3, deploy: 8, show: failing })).toMatchObject({ status: 1 })
    const older = JSON.stringify({ status: 'running', release: { id: 'rel_0', number: 6 } })
    expect(run({ plan: 3, deploy: 8, show: older })).toMatchObject({ status: 8 })
  })

  test('asks for a key before it does anything', () => {
    const { status, stderr } = run({ plan: 3 }, '')
    expect(status).not.toBe(0)
    expect(stderr).toContain('agentctl keys create')
  })
})
