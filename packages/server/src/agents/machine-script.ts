import { firewallPart } from './machine-firewall.ts'
import { upkeepPart } from './machine-upkeep.ts'

/** What a machine is made with; all of it ends up in its `user_data`. */
export interface MachineScript {
  /** Address of the API as machines reach it. */
  apiUrl: string
  /** Good for one hello, so that it may lie where cloud-init keeps it. */
  bootstrapToken: string
  /** Addresses or networks from which the port of the runner's proxy may be reached. */
  routers: readonly string[]
  port: number
  node: { sha256: string; version: string }
  runner: { sha256: string }
  /** npm as its registry packs it (gzipped, under `package/`); without it, installing is left to what the image has. */
  npm?: { sha256: string }
}

/**
 * The program that a machine runs when it boots: fetches Node and the runner by their hashes and keeps the runner
 * going. It can be run again at any time; each step looks whether its result is there, and none asks where it runs.
 */
export function renderMachineScript(made: MachineScript): string {
  const { apiUrl, bootstrapToken, routers, port, node, runner, npm } = made
  const url = new URL(apiUrl)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('apiUrl is not an http address')
  const settings = {
    api: accepted('apiUrl', url.href.replace(/\/+$/, ''), /^[A-Za-z0-9:/._~%[\]-]+$/),
    token: accepted('bootstrapToken', bootstrapToken, /^[A-Za-z0-9._~-]{1,512}$/),
    node_sha: accepted('node.sha256', node.sha256, /^[0-9a-f]{64}$/),
    node_version: accepted('node.version', node.version.replace(/^v/, ''), /^[0-9]+\.[0-9]+\.[0-9]+$/),
    runner_sha: accepted('runner.sha256', runner.sha256, /^[0-9a-f]{64}$/),
    npm_sha: npm ? accepted('npm.sha256', npm.sha256, /^[0-9a-f]{64}$/) : '',
  }
  for (const router of routers) accepted('routers', router, /^[0-9a-fA-F.:]+(\/[0-9]{1,3})?$/)
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'`)
  const parts = [SYSTEM, firewallPart(routers, port), PROGRAMS, upkeepPart, RUNNER]
  return ['#!/bin/bash', 'set -eu', ...lines, ...parts].join('\n')
}

/** Between single quotes of the script nothing may stand that ends them; the value itself is never shown. */
function accepted(name: string, value: string, shape: RegExp): string {
  if (!shape.test(value)) throw new Error(`${name} cannot stand in a machine script`)
  return value
}

const SYSTEM = `
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
base="\${AGENTCTL_BASE:-/opt/agentctl}"
run="\${AGENTCTL_RUN:-/run/agentctl}"
node="$base/node/$node_sha/bin/node"
current="$base/runner/current"

say() { printf 'agentctl: %s\\n' "$*"; }

# Where base is elsewhere, the rest of the system belongs to somebody else: no user, no unit and no filter is made there.
owns_system() { [ "$base" = /opt/agentctl ] && [ "$(id -u)" = 0 ]; }

# settle FILE: writes what it is given there; true when that changed anything.
settle() {
  cat >"$1.next"
  if cmp -s "$1.next" "$1"; then
    rm -f "$1.next"
    return 1
  fi
  mv -f "$1.next" "$1"
}

# unit NAME: makes systemd know it and start it at each boot.
unit() {
  if settle "/etc/systemd/system/$1"; then systemctl daemon-reload; fi
  systemctl enable --quiet "$1"
}

# At the first boot the system's own updates may be at work; apt waits for them.
install_packages() {
  local attempt
  for attempt in 1 2 3; do
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 update || say 'warning: lists of packages are not fresh'
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 --yes --no-install-recommends install "$@" >/dev/null && return 0
    [ "$attempt" = 3 ] || sleep 5
  done
  return 1
}

mkdir -p "$base/node/$node_sha/bin" "$base/runner" "$base/blobs" "$base/releases" "$base/home" "$run"
chmod 700 "$base/blobs" "$run"

if ! id agent >/dev/null 2>&1; then
  if owns_system; then
    useradd --system --user-group --no-create-home --home-dir "$base/home" --shell /usr/sbin/nologin agent
  else
    say "warning: there is no user 'agent' and none can be made; agents run as $(id -un 2>/dev/null || id -u)"
  fi
fi
if [ "$(id -u)" = 0 ] && id agent >/dev/null 2>&1; then
  chown agent:"$(id -gn agent)" "$base/home"
fi

if owns_system; then
  missing=''
  command -v nft >/dev/null 2>&1 || missing="$missing nftables"
  # Debian and Ubuntu pack what a virtual environment begins with apart from Python.
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3 python3-venv"
  case "$api" in
    https:*)
      command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1 || missing="$missing curl"
      [ -s /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
      ;;
  esac
  [ -z "$missing" ] || install_packages $missing || say "warning: these could not be installed:$missing"
  # Memory that is swapped out would be on the disk, and with the disk in its snapshot: secrets too.
  if [ -d /run/systemd/system ] && [ "$(systemctl is-enabled swap.target 2>/dev/null || :)" != masked ]; then
    systemctl mask --quiet swap.target
  fi
  if [ "$(wc -l </proc/swaps)" -gt 1 ]; then
    swapoff --all || say 'warning: swap space cannot be switched off'
  fi
fi
`

const PROGRAMS = `
# The image may have none of the programs that download; bash itself speaks TCP.
fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl --fail --silent --show-error --location --connect-timeout 10 --speed-limit 1024 --speed-time 30 \\
      --output "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget --quiet --tries=1 --timeout=30 --output-document="$2" "$1"
  else
    fetch_by_bash "$1" "$2"
  fi
}

fetch_by_bash() {
  case "$1" in
    http://*) ;;
    *) say "neither curl nor wget is here, and bash cannot fetch $1"; exit 1 ;;
  esac
  local rest authority path host port line status
  rest="\${1#http://}"
  authority="\${rest%%/*}"
  path="/\${rest#*/}"
  host="\${authority%%:*}"
  port="\${authority##*:}"
  [ "$port" != "$authority" ] || port=80
  case "$host" in *.localhost) host=127.0.0.1 ;; esac
  { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || { say "$authority does not answer"; return 1; }
  printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' "$path" "$authority" >&3
  IFS= read -r status <&3 || status=''
  while IFS= read -r line <&3; do
    [ -n "\${line%$'\\r'}" ] || break
  done
  case "$status" in
    'HTTP/1.'[01]' 200'*) cat <&3 >"$2"; exec 3<&- ;;
    *) exec 3<&-; say "$1 answered: \${status%$'\\r'}"; return 1 ;;
  esac
}

matches() { printf '%s  %s\\n' "$1" "$2" | sha256sum --check --status 2>/dev/null; }

# asset HASH FILE MODE
asset() {
  local attempt=0 wrong=0
  while :; do
    rm -f "$2.partial"
    if fetch "$api/v1/runner/assets/$1" "$2.partial"; then
      if matches "$1" "$2.partial"; then
        chmod "$3" "$2.partial"
        mv -f "$2.partial" "$2"
        return 0
      fi
      rm -f "$2.partial"
      wrong=$((wrong + 1))
      say "what came for $1 has another hash"
      [ "$wrong" -lt 3 ] || { say "refused: $2 cannot be had intact"; exit 1; }
    fi
    attempt=$((attempt + 1))
    [ "$attempt" -lt 150 ] || { say "gave up: $api cannot be reached"; exit 1; }
    if [ "$attempt" -lt 10 ]; then sleep 0.5; else sleep 4; fi
  done
}

# To hash 120 MB at each boot would take longer than to ask it; its name was given to it after its hash was right.
if [ "$("$node" --version 2>/dev/null || :)" != "v$node_version" ]; then
  asset "$node_sha" "$node" 755
  "$node" --version >/dev/null || { say "the fetched Node does not run on this system"; exit 1; }
fi

# Beside Node, where a start or install command finds it; the mark names the archive that is unpacked there.
if [ -n "$npm_sha" ]; then
  modules="$base/node/$node_sha/lib/node_modules"
  if [ ! -e "$modules/npm/.from-$npm_sha" ]; then
    mkdir -p "$modules"
    asset "$npm_sha" "$modules/npm.tgz" 644
    rm -rf "$modules/npm" "$modules/npm.next"
    mkdir "$modules/npm.next"
    tar --extract --gzip --no-same-owner --strip-components=1 --file "$modules/npm.tgz" --directory "$modules/npm.next"
    chmod 755 "$modules/npm.next/bin/npm-cli.js" "$modules/npm.next/bin/npx-cli.js"
    : >"$modules/npm.next/.from-$npm_sha"
    mv -T "$modules/npm.next" "$modules/npm"
    rm -f "$modules/npm.tgz"
  fi
  for name in npm npx; do
    ln -sfn "../lib/node_modules/npm/bin/$name-cli.js" "$base/node/$node_sha/bin/$name"
  done
fi

# A machine that was only paused has its credential still, and perhaps a newer runner than this script knows.
if [ ! -s "$run/credential.json" ] || [ ! -e "$current" ]; then
  if ! matches "$runner_sha" "$base/runner/$runner_sha.cjs"; then
    asset "$runner_sha" "$base/runner/$runner_sha.cjs" 644
  fi
  ln -sfn "$runner_sha.cjs" "$current.next"
  mv -fT "$current.next" "$current"
fi

if [ ! -s "$run/credential.json" ]; then
  (umask 077; printf '%s\\n' "$token" >"$run/bootstrap.next")
  mv -f "$run/bootstrap.next" "$run/bootstrap"
fi
`

const RUNNER = `
if owns_system && [ -d /run/systemd/system ]; then
  unit agentctl-runner.service <<UNIT
[Unit]
Description=agentctl runner
Requires=agentctl-firewall.service
Wants=network-online.target
After=agentctl-firewall.service network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=$node $current --api $api --base $base --run $run
Restart=always
RestartSec=100ms
# The agent outlives the runner: the next runner adopts it.
KillMode=process
TimeoutStopSec=75
# Also for the agent, which inherits them: no program makes it somebody else, and its memory is not left on the disk.
NoNewPrivileges=yes
LimitCORE=0
LimitNOFILE=1048576
UMask=0022

[Install]
WantedBy=multi-user.target
UNIT
  # cloud-init runs this script before the boot is complete; to wait for the start could be to wait for itself.
  systemctl start --no-block agentctl-runner.service
  say "the runner is in the hands of systemd"
  upkeep
  exit 0
fi
! owns_system || upkeep

# Without systemd this script stays and starts the runner again whenever it ends, as after an update of itself.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$run/lock"
  flock --nonblock 9 || { say "the runner of this machine is running already"; exit 0; }
fi
child=''
finish() {
  trap '' TERM INT
  if [ -n "$child" ]; then
    kill -TERM "$child" 2>/dev/null || :
    wait "$child" || :
  fi
  exit 0
}
trap finish TERM INT
while :; do
  env -i PATH="$PATH" HOME="$base" "$node" "$current" --api "$api" --base "$base" --run "$run" 9>&- &
  child=$!
  wait "$child" || :
  sleep 0.1 9>&-
done
`
