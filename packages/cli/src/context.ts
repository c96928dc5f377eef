import { type ApiAddress, findApiAddress, findLocalCloud } from './api-address.ts'
import { type Api, createApi } from './api-client.ts'
import {
  cacheDirectory,
  configDirectory,
  readConfig,
  type StoredConfig,
  type StoredLogin,
  writeConfig,
} from './config-file.ts'
import { Failure } from './failure.ts'
import type { GlobalValues } from './global-options.ts'
import { type NoticeWatch, watchNotices } from './notice-watch.ts'
import { createOutput, type Output, type Stream } from './output.ts'
import { createProgress, type Progress } from './progress.ts'
import { createPrompt, type Prompt } from './prompt.ts'
import { version } from './version.ts'

export interface Surroundings {
  env: Record<string, string | undefined>
  cwd: string
  programDirectory: string
  stdin: { isTTY?: boolean }
  stdout: Stream
  stderr: Stream
  signal: AbortSignal
}

/** Everything that a command may touch; tests replace it here and nowhere else. */
export interface Context {
  api: Api
  out: Output
  prompt: Prompt
  env: Surroundings['env']
  cwd: string
  signal: AbortSignal
  /** An answer may be read from stdin: it is not a terminal, and --no-input does not forbid to wait for it. */
  readsInput: boolean
  /** Stdin is not a terminal, so data may come from it. */
  pipedInput: boolean
  /** True where a person watches. */
  watched: boolean
  cacheDirectory: string
  configDirectory: string
  progress(text: string): Progress
  /** Undefined where only results and failures are wanted. */
  notices: NoticeWatch | undefined
  address(): ApiAddress
  config(): StoredConfig
  saveConfig(change: (config: StoredConfig) => void): Promise<void>
  login(): StoredLogin | undefined
  /** AGENTCTL_API_KEY, else the token of the login at this API. */
  token(): string | undefined
  /** What was said on the line or in the environment; else what was saved; else undefined: the service decides. */
  namespace(): string | undefined
  explicitNamespace: string | undefined
  /** What an interruption from now on has to say. */
  onInterrupt(fix: string, next?: string[]): void
  interruption(): Failure
}

export function createContext(globals: GlobalValues, around: Surroundings): Context {
  const { env, cwd, signal, stdout, stderr } = around
  const automated = Boolean(env.CI)
  const watched = stderr.isTTY === true && !automated
  const color =
    globals.color &&
    !env.NO_COLOR &&
    !automated &&
    env.TERM !== 'dumb' &&
    stderr.isTTY === true &&
    stdout.isTTY === true
  // The libraries that ask and spin look here.
  if (!globals.color) env.NO_COLOR = '1'
  const { json, quiet, debug } = globals
  const out = createOutput({ json, quiet, debug, color, stdout, stderr })
  const local = findLocalCloud({
    option: globals.apiUrl,
    env,
    cwd,
    programDirectory: around.programDirectory,
  })
  // What is kept for a local cloud goes with its data, and touches no login elsewhere.
  const directory = (env.AGENTCTL_CONFIG_DIR ? undefined : local?.configDirectory) ?? configDirectory(env)

  let config: StoredConfig | undefined
  const readOnce = () => {
    config ??= readConfig(directory)
    return config
  }
  let address: ApiAddress | undefined
  const addressOnce = () => {
    address ??= findApiAddress({
      option: globals.apiUrl,
      env,
      local,
      // A key from the environment has no login beside it that could say where it belongs.
      saved: () => readOnce().apiUrl,
    })
    return address
  }
  const login = () => readOnce().logins?.[addressOnce().url]
  const token = () => env.AGENTCTL_API_KEY || login()?.token
  const explicitNamespace = globals.namespace ?? (env.AGENTCTL_NAMESPACE || undefined)
  let interruption = new Failure('interrupted', 'Interrupted')

  const api = createApi({
    baseUrl: () => addressOnce().url,
    token,
    userAgent: `agentctl/${version} (${process.platform}; node ${process.versions.node})`,
    signal,
    debug: out.debug,
    sent: (route) => notices?.sent(route),
    proveAgain: async () => (await import('./login/prove-again.ts')).proveAgain(ctx),
  })
  const notices =
    json || quiet
      ? undefined
      : watchNotices({ api, out, url: () => addressOnce().url, folder: cacheDirectory(env) })

  const ctx: Context = {
    api,
    notices,
    out,
    env,
    cwd,
    signal,
    pipedInput: around.stdin.isTTY !== true,
    readsInput: globals.input && around.stdin.isTTY !== true,
    watched,
    cacheDirectory: cacheDirectory(env),
    configDirectory: directory,
    prompt: createPrompt({
      interactive: globals.input && !automated && around.stdin.isTTY === true && stderr.isTTY === true,
      signal,
    }),
    progress: createProgress(out, {
      // On a terminal that has no width (under some programs that record or script one) the spinner never
      // comes to an end of counting its lines.
      animated: watched && (stderr.columns ?? 0) > 0,
      silent: quiet || json,
      color,
    }),
    address: addressOnce,
    config: readOnce,
    async saveConfig(change) {
      // Read again: another agentctl may have written since.
      const fresh = readConfig(directory)
      change(fresh)
      await writeConfig(directory, fresh)
      config = fresh
    },
    login,
    token,
    explicitNamespace,
    namespace: () => explicitNamespace ?? (env.AGENTCTL_API_KEY ? undefined : login()?.namespace),
    onInterrupt(fix, next = []) {
      interruption = new Failure('interrupted', 'Interrupted', { fix, next })
    },
    interruption: () => interruption,
  }
  return ctx
}
