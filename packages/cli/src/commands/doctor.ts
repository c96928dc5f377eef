import { existsSync, statSync } from 'node:fs'
import { defineCommand } from '../command.ts'
import { configPath } from '../config-file.ts'
import type { Context } from '../context.ts'
import { asFailure, Failure } from '../failure.ts'
import { reach } from '../reach.ts'
import { version } from '../version.ts'

interface Check {
  name: string
  status: 'ok' | 'warn' | 'fail'
  message: string
  fix: string | null
}

const CLOCK_SKEW_MAX_MS = 120_000

export const doctor = defineCommand({
  summary: 'Check this machine, the login and the way to the service',
  examples: ['agentctl doctor', 'agentctl doctor --json'],
  async run(ctx) {
    const checks: Check[] = []
    let worst: Failure | undefined
    const check = async (
      name: string,
      look: () => Promise<Omit<Check, 'name' | 'fix'> & { fix?: string }>,
    ) => {
      try {
        const { status, message, fix } = await look()
        checks.push({ name, status, message, fix: fix ?? null })
        return status === 'ok'
      } catch (error) {
        const failure = asFailure(error)
        if (failure.code === 'interrupted') throw failure
        worst ??= failure
        checks.push({ name, status: 'fail', message: failure.message, fix: failure.fix })
        return false
      }
    }
    const progress = ctx.progress('Looking')
    try {
      await check('program', async () => ({
        status: 'ok',
        message: `agentctl ${version} on Node ${process.versions.node}, ${process.platform} ${process.arch}`,
      }))
      await check('config', async () => checkConfig(ctx))
      const reachable = await check('service', async () => checkService(ctx))
      if (reachable && (await check('login', async () => checkLogin(ctx)))) {
        await check('agents', async () => checkAgents(ctx))
      }
    } finally {
      progress.stop()
    }
    const document = { checks }
    if (worst) {
      if (!ctx.out.json) ctx.out.notice(describe(ctx, checks))
      throw new Failure(worst.code, worst.message, { fix: worst.fix, next: worst.next, document })
    }
    ctx.out.result(document, () => describe(ctx, checks))
  },
})

function checkConfig(ctx: Context) {
  const path = configPath(ctx.configDirectory)
  ctx.config()
  if (!existsSync(path)) return { status: 'ok' as const, message: `nothing kept yet; it will be ${path}` }
  const open = (statSync(ctx.configDirectory).mode & 0o077) !== 0
  return open
    ? {
        status: 'warn' as const,
        message: `others on this machine may look into ${ctx.configDirectory}`,
        fix: `Run: chmod 700 ${ctx.configDirectory}`,
      }
    : { status: 'ok' as const, message: `${path}, for you alone` }
}

async function checkService(ctx: Context) {
  const { url, source } = ctx.address()
  const { version: serverVersion, time } = await ctx.api('GET /v1/health', { token: null })
  const skew = Date.parse(time) - Date.now()
  if (Math.abs(skew) > CLOCK_SKEW_MAX_MS) {
    const seconds = Math.round(Math.abs(skew) / 1000)
    return {
      status: 'warn' as const,
      message: `${url} answers, but its clock and this one are ${seconds} s apart`,
      fix: 'Set the clock of this machine.',
    }
  }
  return { status: 'ok' as const, message: `${url} (from ${source}) answers, version ${serverVersion}` }
}

async function checkLogin(ctx: Context) {
  if (ctx.token() === undefined) {
    return { status: 'warn' as const, message: 'you are not logged in', fix: 'Run: agentctl login' }
  }
  const { account, via } = await ctx.api('GET /v1/whoami')
  const how = via === 'key' ? (ctx.env.AGENTCTL_API_KEY ? 'by AGENTCTL_API_KEY' : 'by API key') : 'by session'
  return { status: 'ok' as const, message: `${account.id}, ${how}` }
}

/** Looks at one running agent from here, the way a visitor does. */
async function checkAgents(ctx: Context) {
  const { agents } = await ctx.api('GET /v1/agents', { query: { namespace: ctx.explicitNamespace } })
  const running = agents.find(({ status }) => status === 'running')
  if (!running) return { status: 'ok' as const, message: `${agents.length} agents, none running` }
  const answer = await reach(running.url, ctx.signal)
  if ('reason' in answer) {
    return {
      status: 'warn' as const,
      message: `${running.url} does not answer from here: ${answer.reason}`,
      fix: 'Check the network between this machine and the address.',
    }
  }
  return { status: 'ok' as const, message: `${running.url} answers with status ${answer.httpStatus}` }
}

function describe(ctx: Context, checks: Check[]): string {
  const marks = {
    ok: ctx.out.style('green', 'ok  '),
    warn: ctx.out.style('yellow', 'warn'),
    fail: ctx.out.style('red', 'fail'),
  }
  return checks
    .map(({ name, status, message, fix }) =>
      [`${marks[status]}  ${name.padEnd(8)} ${message}`, ...(fix ? [`${''.padEnd(15)}${fix}`] : [])].join(
        '\n',
      ),
    )
    .join('\n')
}
