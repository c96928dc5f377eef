import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { join } from 'node:path'
import { styleText } from 'node:util'
import type { Cloud } from './cloud.ts'

interface Step {
  /** What is typed after `agentctl`. */
  args: string[]
  env?: Record<string, string>
}

const DEPOSIT_BELOW_MICROS = 10_000_000n

/** A name for everybody's examples, which only the DNS of the local cloud knows. */
const HOSTNAME = 'hello.example.com'

/** The main job, with the real CLI: log in with a wallet, deposit, deploy an example, attach a domain, and look at both. */
export async function runMainJob({
  root,
  cloud,
  dataDir,
  say,
}: {
  root: string
  cloud: Cloud
  dataDir: string
  say: (line: string) => void
}): Promise<boolean> {
  const started = Date.now()
  const [wallet] = cloud.wallets
  if (!wallet) throw new Error('The local chain has no development accounts.')
  const environment = { AGENTCTL_API_URL: cloud.local.apiUrl, AGENTCTL_CONFIG_DIR: join(dataDir, 'cli') }
  const purse = { AGENTCTL_PRIVATE_KEY: wallet.privateKey }
  const read = async <T>(...args: string[]): Promise<T> =>
    JSON.parse((await runCli(root, { args: [...args, '--json'] }, environment, () => {}, true)).stdout)
  const run = async (step: Step): Promise<boolean> => {
    const { code } = await runCli(root, step, environment, say)
    if (code !== 0) {
      say(
        `\nerror: This step ended with exit code ${code}.\n  The log of the server: ${join(dataDir, 'server.log')}`,
      )
    }
    return code === 0
  }

  if (!(await run({ args: ['login', '--wallet', '--accept-terms'], env: purse }))) return false
  const { creditsMicros } = await read<{ creditsMicros: string }>('billing', 'balance')
  // A second start finds the credits of the first.
  if (BigInt(creditsMicros) < DEPOSIT_BELOW_MICROS) {
    if (!(await run({ args: ['billing', 'deposit', '25', '--yes'], env: purse }))) return false
  }
  if (!(await run({ args: ['deploy', 'examples/hello-agent', '--yes'] }))) return false
  const { url } = await read<{ url: string }>('agents', 'show', 'hello')
  const answer = await ask(url)
  if (answer.status !== 200) {
    say(`error: ${url} answered ${answer.status}.\n  ./agentctl agents logs hello`)
    return false
  }
  if (!(await run({ args: ['domains', 'add', HOSTNAME, '--agent', 'hello'] }))) return false
  const { domains } = await read<{ domains: Domain[] }>('domains', 'list', '--agent', 'hello')
  for (const record of domains.find(({ hostname }) => hostname === HOSTNAME)?.records ?? []) {
    await createRecord(cloud.local.cloudflare.url, record, say)
  }
  if (!(await run({ args: ['domains', 'wait', HOSTNAME] }))) return false
  const { edge } = cloud.local.cloudflare
  const name = `https://${HOSTNAME}:${edge.port}`
  say(`
${styleText('bold', url)} answers (${((Date.now() - started) / 1000).toFixed(1)} s from login to live).

Next:
  curl ${url}
  curl --cacert ${edge.caFile} --resolve ${HOSTNAME}:${edge.port}:${edge.address} ${name}
  ./agentctl agents list
  ./agentctl agents logs hello -f
  ./agentctl billing balance
  ./agentctl deploy YOUR-FOLDER
`)
  return true
}

interface Domain {
  hostname: string
  records: { type: string; name: string; value: string }[]
}

/** Does in the DNS of the local cloud what the owner of a name does at their DNS provider. */
async function createRecord(
  cloudflareUrl: string,
  { type, name, value }: Domain['records'][number],
  say: (line: string) => void,
): Promise<void> {
  const request = { name, type, values: [value] }
  say(
    styleText(
      'dim',
      `At your DNS provider, here: PUT ${cloudflareUrl}/_local/dns ${JSON.stringify(request)}\n`,
    ),
  )
  const answer = await fetch(`${cloudflareUrl}/_local/dns`, { method: 'PUT', body: JSON.stringify(request) })
  if (!answer.ok) throw new Error(`The local DNS did not take the record: ${await answer.text()}`)
}

function runCli(
  root: string,
  step: Step,
  env: Record<string, string>,
  say: (line: string) => void,
  quiet = false,
): Promise<{ code: number; stdout: string }> {
  say(styleText('dim', `$ agentctl ${step.args.join(' ')}`))
  return new Promise((resolve) => {
    const child = spawn(join(root, 'agentctl'), step.args, {
      cwd: root,
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'ignore' : 'inherit'],
      env: { ...process.env, ...env, ...step.env },
    })
    let stdout = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk
    })
    child.on('close', (code) => {
      if (!quiet) say('')
      resolve({ code: code ?? 1, stdout })
    })
  })
}

/** Asks an agent's address. Not every resolver knows names under .localhost, so the connection goes to loopback. */
function ask(url: string): Promise<{ status: number }> {
  const { hostname, host, port, pathname } = new URL(url)
  const address = hostname.endsWith('.localhost') ? '127.0.0.1' : hostname
  return new Promise((resolve, reject) => {
    request({ host: address, port, path: pathname, headers: { host } }, (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 0 })
    })
      .on('error', reject)
      .end()
  })
}
