import { mkdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect } from 'vitest'
import type { Cloud } from '../../scripts/cloud.ts'
import { matches, openShell, parseTranscript } from './transcript.ts'

const root = dirname(dirname(import.meta.dirname))

/** What a page may use besides agentctl: the phone's inbox, DNS and the edge, the agents' addresses, the examples. */
const prelude = (keys: readonly string[]) => `
inbox() { curl -s --get "$TWILIO/_local/inbox" --data-urlencode "to=$1" | grep -o '"code":"[0-9]*"' | tail -n 1 | tr -dc 0-9; }
record() { curl -s -o /dev/null -X PUT "$CLOUDFLARE/_local/dns" -d "{\\"name\\":\\"$1\\",\\"type\\":\\"$2\\",\\"values\\":[\\"$3\\"]}"; }
visit_edge() { curl -s --cacert "$EDGE_CA" --resolve "$1:$EDGE_PORT:127.0.0.1" "https://$1:$EDGE_PORT/"; }
visit() { curl -s --resolve "*:$ROUTER_PORT:127.0.0.1" "$@"; }
json() { node -e 'let s="";process.stdin.on("data",d=>s+=d).on("end",()=>{const v=process.argv[1].split(".").filter(Boolean).reduce((o,k)=>o?.[k],JSON.parse(s));console.log(typeof v==="object"?JSON.stringify(v):v)})' "$1"; }
EXAMPLES="${root}/examples"
WALLET1=${keys[0]} WALLET2=${keys[1]} WALLET3=${keys[2]} WALLET4=${keys[3]} WALLET5=${keys[4]}
`

/** Types a page into a shell with a home of its own in this folder; fails where it prints something else. */
export async function playPage(
  page: string,
  cloud: Pick<Cloud, 'local' | 'localFile' | 'wallets'>,
  folder: string,
  environment: Record<string, string> = {},
): Promise<void> {
  const home = join(folder, basename(page, '.md'))
  mkdirSync(home)
  const shell = openShell(
    {
      PATH: `${root}:${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      HOME: home,
      LANG: 'C.UTF-8',
      AGENTCTL_API_URL: cloud.local.apiUrl,
      TWILIO: cloud.local.twilio.url,
      STRIPE: cloud.local.stripe.url,
      DATA_DIR: dirname(cloud.localFile),
      CLOUDFLARE: cloud.local.cloudflare.url,
      EDGE_PORT: String(cloud.local.cloudflare.edge.port),
      EDGE_CA: cloud.local.cloudflare.edge.caFile,
      ROUTER_PORT: new URL(cloud.local.routerUrl).port,
      ...environment,
    },
    home,
    prelude(cloud.wallets.map(({ privateKey }) => privateKey)),
  )
  try {
    for (const { line, command, expected, exit } of parseTranscript(
      readFileSync(join(import.meta.dirname, page), 'utf8'),
    )) {
      const ended = await shell.type(command)
      const shown = `${ended.printed.trimEnd()}\n[exit ${ended.exit}]`
      // The comparison of texts is what a failure shows; it is reached only when the pattern does not match.
      if (!matches(expected, ended.printed) || ended.exit !== exit) {
        expect(`${page}:${line} $ ${command}\n${shown}`).toBe(
          `${page}:${line} $ ${command}\n${expected.join('\n').trimEnd()}\n[exit ${exit}]`,
        )
      }
    }
  } finally {
    shell.end()
  }
}
