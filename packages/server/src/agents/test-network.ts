import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Why tests with networks of their own cannot run here; undefined if they can. In CI that is a failure. */
export function networkHindrance(): string | undefined {
  const hindrance =
    process.getuid?.() !== 0
      ? 'only root may make network namespaces'
      : ['ip', 'nft', 'bwrap', 'python3'].find((name) => spawnSync('which', [name]).status !== 0)
        ? 'iproute2, nftables, bubblewrap and python3 are not all installed'
        : spawnSync('unshare', ['--net', 'nft', 'list', 'tables']).status !== 0
          ? 'this kernel gives no network namespace with a packet filter'
          : undefined
  if (hindrance === undefined) return undefined
  if (process.env.CI) throw new Error(`Networks of machines cannot be tested: ${hindrance}.`)
  process.stderr.write(`Skipped, for ${hindrance}.\n`)
  return hindrance
}

/** Hosts on one flat line, each a network namespace. None of it touches the network of this machine. */
export class TestNetwork {
  readonly #prefix = `actl-${process.pid}-`
  readonly #hosts: string[] = []

  async open(): Promise<void> {
    await this.#namespace('line')
    await this.#ip('line', 'link add name line type bridge')
    await this.#ip('line', 'link set dev line up')
  }

  /** The name of its network namespace. */
  async attach(
    host: string,
    addresses: readonly string[],
    gateways: readonly string[] = [],
  ): Promise<string> {
    await this.#namespace(host)
    await this.#ip('line', `link add name ${host} type veth peer name eth0 netns ${this.#prefix}${host}`)
    await this.#ip('line', `link set dev ${host} master line up`)
    await this.#ip(host, 'link set lo up')
    await this.#ip(host, 'link set eth0 up')
    for (const address of addresses) {
      await this.#ip(host, `address add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`)
    }
    for (const gateway of gateways) {
      await this.#ip(host, `${gateway.includes(':') ? '-6 ' : ''}route add default via ${gateway}`)
    }
    return `${this.#prefix}${host}`
  }

  /** What a program has to be started with to be on that host. */
  on(host: string, command: readonly string[]): [string, string[]] {
    return ['ip', ['netns', 'exec', `${this.#prefix}${host}`, ...command]]
  }

  async run(host: string, command: readonly string[]): Promise<string> {
    return (await execute(...this.on(host, command))).stdout
  }

  /** Whether somebody there greets who connects; `uid` is whose connection it is, root's unless told. */
  async reaches(from: string, address: string, port: number, uid?: number): Promise<boolean> {
    const as =
      uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--']
    const look = `exec 3<>/dev/tcp/${address}/${port} && IFS= read -r line <&3 && [ "$line" = hello ]`
    const program = ['timeout', '3', 'bash', '-c', look]
    return execute(...this.on(from, [...as, ...program])).then(
      () => true,
      () => false,
    )
  }

  async close(): Promise<void> {
    for (const host of this.#hosts.splice(0))
      await execute('ip', ['netns', 'delete', `${this.#prefix}${host}`])
  }

  async #namespace(host: string): Promise<void> {
    await execute('ip', ['netns', 'add', `${this.#prefix}${host}`])
    this.#hosts.push(host)
  }

  async #ip(host: string, words: string): Promise<void> {
    await execute('ip', ['-n', `${this.#prefix}${host}`, ...words.split(' ')])
  }
}
