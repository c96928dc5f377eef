import { ROUTER_CREDENTIAL_HEADER } from '@agentctl/contract/runner-constants.ts'
import { expect, test } from 'vitest'
import { openRouterCredential } from '../platform/router-credential.ts'
import { ended, eventually } from './test-cloud.ts'
import { isRunnerBuilt, live, realMachines } from './test-real-machines.ts'

const agentSource = (word: string) => `
  const http = require('node:http')
  console.log('started ${word}')
  const fs = require('node:fs')
  const file = process.env.HOME + '/note'
  process.on('SIGTERM', () => {
    if (fs.existsSync(file)) fs.appendFileSync(file, ', then told to end')
    process.exit(0)
  })
  http.createServer((request, response) => {
    if (request.url === '/keep') fs.writeFileSync(file, 'kept')
    response.end(request.url === '/' ? '${word} ' + process.env.TOKEN : fs.readFileSync(file))
  }).listen(process.env.PORT)
`

test.skipIf(!isRunnerBuilt)(
  'a folder becomes a running agent on a machine of its own, and a redeploy replaces it',
  { timeout: 120_000 },
  async () => {
    const cloud = await realMachines()
    const alice = await cloud.person('real')
    await alice.call('POST', '/v1/agents', { name: 'hello' })
    await alice.call('PATCH', '/v1/agents/hello/secrets', { secrets: { TOKEN: 'sesame' } })

    const first = await live(alice, await alice.deploy('hello', agentSource('one')))
    expect(first.timings).toMatchObject({ machineMs: expect.any(Number), totalMs: expect.any(Number) })
    expect(await ask()).toBe('one sesame')

    const second = await live(alice, await alice.deploy('hello', agentSource('two')))
    expect(await ask()).toBe('two sesame')
    process.stderr.write(`parts of a redeploy: ${JSON.stringify(second.timings)}\n`)

    const failed = await ended(alice, (await alice.deploy('hello', 'process.exit(3)')).body.release.id)
    expect(failed).toMatchObject({ status: 'failed', failure: { reason: 'exited' } })
    expect(await ask()).toBe('two sesame')

    await eventually(async () => {
      const { body } = await alice.call('GET', '/v1/agents/hello/logs')
      return String(body).includes('started two') ? true : undefined
    })
    // What the agent keeps in its home directory outlives its machine, and the end of its process is told to it.
    expect(await ask('/keep')).toBe('kept')
    const stopping = performance.now()
    await alice.call('POST', '/v1/agents/hello/stop')
    await eventually(async () => ((await cloud.instances()).length === 0 ? true : undefined), 30_000)
    expect(await cloud.snapshots()).toHaveLength(1)
    const starting = performance.now()
    const started = await alice.call('POST', '/v1/agents/hello/start')
    await live(alice, { status: started.status, body: { release: started.body } })
    const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(1)
    process.stderr.write(
      `stop to no machine: ${seconds(stopping, starting)} s, start to healthy: ${seconds(starting, performance.now())} s\n`,
    )
    expect(await ask('/kept')).toBe('kept, then told to end')
    expect(await ask()).toBe('two sesame')

    // A reboot that nobody asked for empties the machine's tmpfs, and with it goes the credential.
    const [machine] = await cloud.instances()
    await fetch(`${cloud.vultr.url}/v2/instances/${machine?.id}/reboot`, {
      method: 'POST',
      headers: { authorization: `Bearer ${cloud.vultr.apiKey}` },
    })
    cloud.advance(300)
    await eventually(async () => {
      await cloud.sql`
        update operations set run_at = clock_timestamp() where kind = 'watch-silence' and state = 'pending'`
      const [healed] = await cloud.sql`select 1 from operations where kind = 'heal-agent' and state = 'done'`
      return healed ? true : undefined
    }, 30_000)
    await eventually(
      async () => ((await ask('/kept').catch(() => '')).startsWith('kept') ? true : undefined),
      30_000,
    )

    await alice.call('DELETE', '/v1/agents/hello')
    await eventually(async () => ((await cloud.instances()).length === 0 ? true : undefined))

    async function ask(path = '/'): Promise<string> {
      const [row] = await cloud.sql<
        { id: string; address: string; port: number; keyId: string; nonce: Buffer; ciphertext: Buffer }[]
      >`
        select id, address, port, key_id as "keyId", router_nonce as nonce, router_ciphertext as ciphertext
        from machines where state = 'ready'`
      if (!row) throw new Error('No machine serves.')
      const credential = openRouterCredential(cloud.deps.keyring, row.id, row).reveal()
      const response = await fetch(`http://${row.address}:${row.port}${path}`, {
        headers: { [ROUTER_CREDENTIAL_HEADER]: credential },
      })
      return response.text()
    }
  },
)
