import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { AgentConfig, AgentFile, ManifestFile, Size } from '@agentctl/contract/agent-config.ts'
import type { DeployPlan, Release } from '@agentctl/contract/agents.ts'
import { amountOrNone } from '../amount-option.ts'
import { choice, defineCommand, duration, flag, optional, unless } from '../command.ts'
import type { Context } from '../context.ts'
import { readAgentFile } from '../deploy/agent-file.ts'
import { type Attached, attachDomains } from '../deploy/attach-domains.ts'
import { completeConfig, type Detected } from '../deploy/detect.ts'
import { type FolderFile, readFolder } from '../deploy/folder.ts'
import { openHashCache } from '../deploy/hash-cache.ts'
import { DEFAULT_WAIT_SECONDS, waitForRelease } from '../deploy/release-wait.ts'
import { sized, uploadAndDeploy } from '../deploy/upload-and-deploy.ts'
import { Failure } from '../failure.ts'
import { dollars } from '../money.ts'
import { relative, roughly } from '../times.ts'
import { terms, WIDTH, wrap } from '../wrapped-text.ts'

/** The contract's own list would bring its schema library into every start. */
const sizes = ['nano', 'small', 'medium', 'large'] as const satisfies readonly Size[]

/** Micro-USD; null for none. */
type Limits = Record<'maxHourlyMicros' | 'maxTotalMicros', string | null | undefined>

export const deploy = defineCommand({
  summary: 'Deploy a folder, wait until it is healthy, and print its address',
  details:
    'Uploads what changed, releases it, and waits for its health check. What served before goes on serving ' +
    'until the new release is healthy. .gitignore and .agentignore are honoured; .git, node_modules and .env* ' +
    'never leave this machine.',
  args: { directory: optional('dir', 'folder of the agent; the current one unless told') },
  options: {
    dryRun: flag('--dry-run', 'show what would happen and what it costs; exit 3 if anything would'),
    yes: flag('-y, --yes', 'do not ask before a first deploy'),
    wait: unless('--no-wait', 'do not wait for the health check'),
    timeout: duration('--timeout <time>', 'how long to wait, such as 90s or 5m (default 12m)'),
    size: choice('--size <size>', 'size of its machine', sizes),
    maxHourlyMicros: amountOrNone(
      'max-hourly',
      'dollars that it may cost an hour; none takes the limit away',
    ),
    maxTotalMicros: amountOrNone('max-total', 'dollars that it may cost in all, then it is stopped; or none'),
  },
  examples: [
    'agentctl deploy',
    'agentctl deploy ./bot --size medium --yes',
    'agentctl deploy --dry-run',
    'agentctl deploy --max-hourly 0.05 --max-total 20',
    'url=$(agentctl deploy --quiet)',
  ],
  async run(ctx, { directory = '.' }, flags) {
    const folder = resolve(ctx.cwd, directory)
    if (!statSync(folder).isDirectory()) {
      throw new Failure('usage', `${folder} is not a folder`, { fix: 'Give the folder of the agent.' })
    }
    const startedAt = performance.now()
    const agentFile = (await readAgentFile(folder)) ?? {}
    const files = await hashFolder(ctx, folder)
    const { name, config, detected } = completeConfig(folder, agentFile, flags.size)
    const hashMs = performance.now() - startedAt
    const { maxHourlyMicros, maxTotalMicros } = flags
    const limits = { maxHourlyMicros, maxTotalMicros }
    const request = requestOf(ctx, { name, config, files, agentFile, limits })
    const plan = await ctx.api('POST /v1/deploys/plan', {
      body: request,
      repeatable: true,
      timeoutSeconds: 60,
    })

    if (flags.dryRun) {
      ctx.out.result(plan, describePlan)
      return plan.changes.length > 0 ? 'dry_run_changes' : undefined
    }
    ctx.out.note(headline(plan, config, detected))
    if (ctx.prompt.interactive && !flags.yes && !plan.agent.exists) {
      ctx.out.notice(describePlan(plan))
      const goOn = await ctx.prompt.confirm({ message: 'Deploy?', flag: '--yes', initial: true })
      if (!goOn) throw new Failure('interrupted', 'Nothing was deployed', { fix: '' })
    }

    ctx.onInterrupt('Nothing was deployed. What was uploaded need not be sent again: agentctl deploy')
    const uploadStartedAt = performance.now()
    const { uploaded, deployed } = await uploadAndDeploy(ctx, { plan, request, files })
    const uploadMs = performance.now() - uploadStartedAt
    const { release, agent } = deployed
    const document = (now: Release, status = agent.status, domains: Attached[] = []) => ({
      agent: { id: agent.id, name: agent.name, namespace: agent.namespace, url: agent.url, status },
      release: { id: now.id, number: now.number, status: now.status },
      upload: { files: files.length, uploadedFiles: uploaded.files, uploadedBytes: uploaded.bytes },
      price: deployed.price,
      balance: deployed.balance,
      ...(domains.length > 0 ? { domains } : {}),
      timings: { hashMs: Math.round(hashMs), uploadMs: Math.round(uploadMs), ...now.timings },
    })

    if (!flags.wait) {
      ctx.out.note(`Release ${release.number} goes on: agentctl agents show ${agent.name}`)
      const domains = await attachDomains(ctx, agent.id, plan.domains)
      ctx.out.result(document(release, agent.status, domains), agent.url)
      return undefined
    }
    const live = await waitForRelease(ctx, {
      release,
      agent: agent.name,
      timeoutSeconds: flags.timeout ?? DEFAULT_WAIT_SECONDS,
      document,
    })
    const { status } = await ctx.api('GET /v1/agents/:agent', { params: { agent: agent.id } })
    ctx.out.note(
      `Release ${live.number} of ${agent.name} is live after ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`,
    )
    const domains = await attachDomains(ctx, agent.id, plan.domains)
    ctx.out.result(document(live, status, domains), agent.url)
    return undefined
  },
})

async function hashFolder(ctx: Context, folder: string): Promise<FolderFile[]> {
  const progress = ctx.progress('Reading the folder')
  try {
    return await readFolder(folder, {
      cache: openHashCache(ctx.cacheDirectory, folder, Date.now()),
      leftOut: (path, why) => ctx.out.debug(`left out ${path}: ${why}`),
      progress(done) {
        progress.say(`Reading the folder: ${done} files`)
        return new Promise((resolveTurn) => setImmediate(resolveTurn))
      },
    })
  } finally {
    progress.stop()
  }
}

function requestOf(
  ctx: Context,
  {
    name,
    config,
    files,
    agentFile,
    limits: { maxHourlyMicros, maxTotalMicros },
  }: { name: string; config: AgentConfig; files: FolderFile[]; agentFile: AgentFile; limits: Limits },
) {
  const namespace = ctx.explicitNamespace ?? agentFile.namespace ?? ctx.namespace()
  const manifest: ManifestFile[] = files.map(({ path, sha256, size, executable }) => ({
    path,
    sha256,
    size,
    executable,
  }))
  return {
    ...(namespace === undefined ? {} : { namespace }),
    name,
    config,
    files: manifest,
    // What is not said stays as it is; null takes a limit away.
    ...(maxHourlyMicros === undefined ? {} : { maxHourlyMicros }),
    ...(maxTotalMicros === undefined ? {} : { maxTotalMicros }),
  }
}

function headline(
  { agent, price, balance: { runwaySeconds } }: DeployPlan,
  { size }: AgentConfig,
  detected: Detected | undefined,
): string {
  const found = detected ? ` · ${detected.kind}` : ''
  const runway = runwaySeconds === null ? '' : ` · credits for ${roughly(runwaySeconds)}`
  return `${agent.exists ? 'Deploying' : 'New agent'} ${agent.name} in ${agent.namespace}${found} · ${size}, ${dollars(price.hourlyMicros)} an hour${runway}`
}

function describePlan({ agent, changes, domains, upload, price, balance, timeline }: DeployPlan): string {
  const now = new Date()
  const refused = domains.refused.map(
    ({ hostname, message, fix }) => `The domain ${hostname} will not be attached: ${message} ${fix}`,
  )
  const steps = [...changes, ...refused].flatMap((step) =>
    wrap(step, WIDTH - 4).map((line, index) => `${index === 0 ? '  ' : '    '}${line}`),
  )
  const { runwaySeconds } = balance
  const runway = runwaySeconds === null ? '' : `, enough for ${roughly(runwaySeconds)}`
  return [
    changes.length === 0
      ? `${agent.name} in ${agent.namespace} is up to date.`
      : `${agent.name} in ${agent.namespace}:`,
    ...steps,
    `  Upload: ${upload.missing.length} of ${upload.files} files, ${sized(upload.missingBytes)}`,
    `  Price: ${dollars(price.hourlyMicros)} an hour while it runs`,
    `  Credits: ${dollars(balance.creditsMicros)}${runway}`,
    ...(timeline.length === 0
      ? []
      : [
          '',
          'What each state costs, and what it means:',
          ...terms(
            timeline.map(({ state, at, hourlyMicros, consequence }) => [
              state,
              `${dollars(hourlyMicros)} an hour${at === null ? '' : `, ${relative(at, now)} (${at}) as things are`}. ${consequence}`,
            ]),
          ),
        ]),
  ].join('\n')
}
