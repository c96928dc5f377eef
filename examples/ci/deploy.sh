#!/bin/sh
# Deploys a folder from any CI system and ends with 0 only when the new release serves.
#
#   AGENTCTL_API_KEY   a key that may deploy: agentctl keys create ci
#   AGENTCTL_API_URL   the service, unless it is the default one
#   AGENTCTL           how to call the program, unless it is on the PATH
#
# usage: deploy.sh FOLDER
set -u

folder=${1:?usage: deploy.sh FOLDER}
agentctl=${AGENTCTL:-agentctl}
: "${AGENTCTL_API_KEY:?Set AGENTCTL_API_KEY; make a key with: agentctl keys create ci}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One field of a JSON document, such as: field agent.url < file
field() {
  node -e 'let v = JSON.parse(require("fs").readFileSync(0, "utf8")); for (const k of process.argv[1].split(".")) v = v?.[k]; if (v != null) console.log(v)' "$1"
}

# Exit codes say what happened; nothing here reads a message.
explain() {
  case $1 in
    1) echo "The release failed, or another one is under way; what served before goes on serving." ;;
    2) echo "The folder or its agent.json is not valid." ;;
    4) echo "The key is missing, expired or not allowed to deploy here." ;;
    5) echo "Not enough credits, or a limit was reached." ;;
    7) echo "The service is in trouble; this job may simply be run again." ;;
    *) echo "The deploy ended with exit code $1." ;;
  esac >&2
  [ -s "$work/error.json" ] && cat "$work/error.json" >&2
}

"$agentctl" deploy "$folder" --json --no-input --dry-run >"$work/plan.json" 2>"$work/error.json"
code=$?
case $code in
  0)
    echo "Nothing has changed."
    exit 0
    ;;
  3) ;; # There is something to do.
  *)
    explain "$code"
    exit "$code"
    ;;
esac

"$agentctl" deploy "$folder" --json --no-input --yes --timeout 5m >"$work/deploy.json" 2>"$work/error.json"
code=$?
agent=$(field agent.id <"$work/deploy.json" 2>/dev/null)
release=$(field release.id <"$work/deploy.json" 2>/dev/null)

# 8: still in progress when the wait ended. The work goes on at the service; look again for a while.
tries=30
while [ "$code" = 8 ] && [ "$tries" -gt 0 ]; do
  tries=$((tries - 1))
  sleep 10
  "$agentctl" agents show "$agent" --json --no-input >"$work/agent.json" 2>"$work/error.json" || continue
  [ "$(field release.id <"$work/agent.json")" = "$release" ] && code=0
  [ "$(field status <"$work/agent.json")" = failing ] && code=1
done

if [ "$code" != 0 ]; then
  explain "$code"
  exit "$code"
fi
echo "Release $(field release.number <"$work/deploy.json") is live: $(field agent.url <"$work/deploy.json")"
