import { type Request, readCommandLine, wantsJson } from './command-line.ts'
import { type Context, createContext, type Surroundings } from './context.ts'
import { asFailure, exitCodeOf, Failure } from './failure.ts'
import { pageOf } from './help.ts'
import { createOutput } from './output.ts'
import { program, topHelp } from './program.ts'
import { version } from './version.ts'

/** Runs one command line; the exit code is the answer. */
export async function run(argv: string[], around: Surroundings): Promise<number> {
  let ctx: Context | undefined
  try {
    const request = readCommandLine(program, argv)
    if (request.kind === 'version') {
      around.stdout.write(`${version}\n`)
      return 0
    }
    if (request.kind === 'help') {
      around.stdout.write(request.words.length === 0 ? topHelp() : pageOf(request.words, request.node))
      return 0
    }
    ctx = createContext(request.globals, around)
    const ending = await start(request, ctx)
    await ctx.notices?.tell()
    return exitCodeOf(ending)
  } catch (error) {
    const failure = asFailure(error)
    const out = ctx?.out ?? plainOutput(argv, around)
    // Ctrl-C reaches us as a signal, or as the error of a prompt; "no" to a question is a failure of its own.
    const interrupted = ctx?.signal.aborted || (failure.code === 'interrupted' && failure !== error)
    const told = interrupted && ctx ? ctx.interruption() : failure
    out.failure(told)
    // Whoever has interrupted waits for nothing more; whoever was refused may read here why.
    if (told.code !== 'interrupted') await ctx?.notices?.tell()
    return exitCodeOf(told.code)
  }
}

/** The command, or its interruption, whichever comes first: nothing may keep Ctrl-C waiting. */
async function start({ command, args, optionValue }: Request & { kind: 'run' }, ctx: Context) {
  const interrupted = new Promise<never>((_, reject) => {
    const onAbort = () => reject(ctx.interruption())
    if (ctx.signal.aborted) onAbort()
    else ctx.signal.addEventListener('abort', onAbort, { once: true })
  })
  return await Promise.race([command.start(ctx, args, optionValue), interrupted])
}

/** For failures before the line was understood. */
const plainOutput = (
  argv: string[],
  { env, stdout, stderr }: Pick<Surroundings, 'env' | 'stdout' | 'stderr'>,
): { failure(f: Failure): void } =>
  createOutput({
    json: wantsJson(argv),
    quiet: false,
    debug: argv.includes('--debug'),
    color:
      stderr.isTTY === true &&
      stdout.isTTY === true &&
      !env.NO_COLOR &&
      !env.CI &&
      !argv.includes('--no-color'),
    stdout,
    stderr,
  })

/** The process around a run: signals, closed pipes, and the one exit. */
export function main(programDirectory: string): void {
  const interruption = new AbortController()
  let interruptions = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // Whoever presses Ctrl-C twice does not want to wait for anything.
      if (++interruptions > 1) process.exit(130)
      interruption.abort()
    })
  }
  let exitCode = 0
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // The reader has gone, as in `agentctl agents logs | head -1`; nobody is left to be told.
      if (error.code === 'EPIPE') process.exit(exitCode)
      // A full disk, for example; what is lost of stdout is told at the end.
      if (stream === process.stderr) throw error
    })
  }
  void run(process.argv.slice(2), {
    env: process.env,
    cwd: process.cwd(),
    programDirectory,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: interruption.signal,
  }).then((code) => {
    exitCode = code
    // Open sockets and timers of a finished command keep nobody waiting.
    process.stdout.write('', () => process.exit(toldOfLoss() ? 1 : code))
  })
}

/** A result that could not be written is no success: `> ledger.json` on a full disk would look like one. */
function toldOfLoss(): boolean {
  const fault: (Error & { code?: string }) | null = process.stdout.errored
  if (!fault || fault.code === 'EPIPE') return false
  plainOutput(process.argv.slice(2), process).failure(
    new Failure('unexpected', `The result could not be written to stdout (${fault.code ?? fault.message})`, {
      fix: 'The command itself has run. Make room, or write to another place.',
      cause: fault,
    }),
  )
  return true
}
