import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Release } from '@agentctl/contract/agents.ts'
import { type ExportedAgent, readExportedAgent } from '../../agents/exported-agent.ts'
import { defineCommand, flag, option, required, unless } from '../../command.ts'
import type { Context } from '../../context.ts'
import { type Attached, attachDomains } from '../../deploy/attach-domains.ts'
import type { FolderFile } from '../../deploy/folder.ts'
import { DEFAULT_WAIT_SECONDS, waitForRelease } from '../../deploy/release-wait.ts'
import { uploadAndDeploy } from '../../deploy/upload-and-deploy.ts'
import { Failure } from '../../failure.ts'
import { parseDotenv } from '../../secrets/dotenv.ts'
import { setSecrets } from '../../secrets/set-secrets.ts'
import { readTextFile } from '../../text-file.ts'

export const importAgent = defineCommand({
  summary: 'Make an agent of an export: the same configuration, files and domains',
  details:
    'The values of its secrets are asked for, or read from a file of NAME=value lines. Domains are attached again; who has ' +
    'their DNS says whether they lead here.',
  args: { file: required('file', 'the export') },
  options: {
    name: option('--name <name>', 'another name for it'),
    secrets: option('--secrets <file>', 'file of NAME=value lines with the values of its secrets'),
    withoutSecrets: flag('--without-secrets', 'deploy it without its secrets'),
    wait: unless('--no-wait', 'do not wait for the health check'),
  },
  examples: [
    'agentctl agents import hello.agent.json',
    'agentctl agents import hello.agent.json -n staging --name hello-2 --secrets .env',
  ],
  async run(ctx, { file }, flags) {
    const exported = readExportedAgent(readTextFile(resolve(ctx.cwd, file)))
    const name = flags.name ?? exported.name
    const namespace = ctx.namespace()
    const request = {
      ...(namespace === undefined ? {} : { namespace }),
      name,
      config: exported.config,
      files: exported.files,
      maxHourlyMicros: exported.maxHourlyMicros,
      maxTotalMicros: exported.maxTotalMicros,
    }
    const plan = await ctx.api('POST /v1/deploys/plan', {
      body: request,
      repeatable: true,
      timeoutSeconds: 60,
    })
    if (plan.agent.exists) {
      throw new Failure('conflict', `There is an agent ${name} in ${plan.agent.namespace} already`, {
        fix: 'Give another name: --name NAME, or another namespace: -n NAMESPACE',
      })
    }
    const absent = plan.upload.missing.filter((sha256) => exported.contents[sha256] === undefined)
    if (absent.length > 0) {
      throw new Failure(
        'usage',
        `${absent.length === 1 ? 'The content of a file is' : `The contents of ${absent.length} files are`} not in the export, and the service has none`,
        { fix: 'Export it with its files, or deploy the folder it came from: agentctl deploy' },
      )
    }
    const secrets = await askSecrets(ctx, exported, flags)
    if (Object.keys(secrets).length > 0) await setSecrets(ctx, { agent: name, secrets, create: true })

    const folder = mkdtempSync(join(tmpdir(), 'agentctl-import-'))
    try {
      const files = writeContents(folder, exported)
      const { uploaded, deployed } = await uploadAndDeploy(ctx, { plan, request, files })
      const { agent, release } = deployed
      const document = (now: Release, status = agent.status, domains: Attached[] = []) => ({
        agent: { id: agent.id, name: agent.name, namespace: agent.namespace, url: agent.url, status },
        release: { id: now.id, number: now.number, status: now.status },
        upload: { files: files.length, uploadedFiles: uploaded.files, uploadedBytes: uploaded.bytes },
        price: deployed.price,
        balance: deployed.balance,
        domains,
      })
      const ended = flags.wait
        ? await waitForRelease(ctx, {
            release,
            agent: agent.name,
            timeoutSeconds: DEFAULT_WAIT_SECONDS,
            document,
          })
        : release
      const attach = [...new Set([...plan.domains.attach, ...exported.domains])]
      const domains = await attachDomains(ctx, agent.id, { attach, keep: [] })
      const { status } = await ctx.api('GET /v1/agents/:agent', { params: { agent: agent.id } })
      ctx.out.result(document(ended, status, domains), agent.url)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
})

/** Values of all the secrets that the agent had; the ones that nobody gives are missed before anything is made. */
async function askSecrets(
  ctx: Context,
  { secrets: names }: ExportedAgent,
  { secrets: file, withoutSecrets }: { secrets: string | undefined; withoutSecrets: boolean },
): Promise<Record<string, string>> {
  if (withoutSecrets || names.length === 0) return {}
  const given = file === undefined ? {} : parseDotenv(readTextFile(resolve(ctx.cwd, file)))
  const values: Record<string, string> = {}
  for (const name of names) {
    const value = given[name] ?? (await ask(ctx, name))
    if (value !== '') values[name] = value
  }
  return values
}

function ask(ctx: Context, name: string): Promise<string> {
  return ctx.prompt.hidden({
    message: `Secret ${name} (empty to leave it out):`,
    flag: '--secrets FILE with all its secrets, or --without-secrets',
  })
}

function writeContents(folder: string, { files, contents }: ExportedAgent): FolderFile[] {
  for (const [sha256, content] of Object.entries(contents)) {
    writeFileSync(join(folder, sha256), Buffer.from(content, 'base64'), { mode: 0o600 })
  }
  return files.map((one) => ({ ...one, source: join(folder, one.sha256) }))
}
