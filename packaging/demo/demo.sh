#!/usr/bin/env bash
# The main job, start to end, in a throw-away directory: a daemon with the embedded local server, a worker, a real
# training task from its queue to its end; then the same again, with the environment from the cache.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${1:?usage: demo.sh DIRECTORY-OF-BINARIES}
dir=$(mktemp -d "${TMPDIR:-/tmp}/clearmld-demo.XXXXXX")
chmod 0755 "$dir"
export CLEARMLD_SOCKET=$dir/clearmld.sock
daemon=
took=()

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
ctl() { "$bin/clearmlctl" "$@"; }

finish() {
  status=$?
  if [ -n "$daemon" ]; then
    # Runs outlive the daemon, so end a live one first.
    ctl worker stop --now demo >/dev/null 2>&1 || true
    for _ in $(seq 150); do
      ctl worker show demo 2>/dev/null | grep -q '^activity *stopped' && break
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.1
    done
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  if [ $status -eq 130 ]; then
    echo "interrupted; nothing of the demo is left" >&2
  elif [ $status -ne 0 ]; then
    echo "the demo failed (exit code $status); the daemon's log ends with:" >&2
    tail -n 30 "$dir/clearmld.log" >&2 2>/dev/null || true
  fi
  # Finished environments are sealed against writing, which stops an ordinary user's rm.
  chmod -R u+w "$dir" 2>/dev/null || true
  rm -rf "$dir" || true
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# Nothing of the caller's ClearML configuration may reach the demo.
unset $(env | grep -oE '^(CLEARML|TRAINS)_[A-Z_]*' | grep -v '^CLEARMLD_SOCKET$' | sort -u) 2>/dev/null || true
export CLEARML_CONFIG_FILE=$dir/clearml.conf
echo 'agent { worker_name: "demo" }' >"$CLEARML_CONFIG_FILE"

say "1. clearmld with its embedded ClearML server, in $dir"
# In a process group of its own: Ctrl-C must not reach it before its run is stopped.
set -m
"$bin/clearmld" --local=127.0.0.1:0 --state-dir "$dir/state" --socket "$CLEARMLD_SOCKET" 2>"$dir/clearmld.log" &
daemon=$!
set +m
for _ in $(seq 200); do
  [ -S "$CLEARMLD_SOCKET" ] && break
  kill -0 "$daemon" 2>/dev/null || exit 1
  sleep 0.05
done
for _ in $(seq 50); do
  ctl status | grep -q '^server .*, up' && break
  sleep 0.1
done
ctl status

say "2. a worker"
ctl worker add --name demo --cpu-only --queue default

echo "The results page that the SDK will name is in ClearML's web UI, which the embedded server does not have." >&2
for round in first second; do
  say "3. the $round task: $here/train.py, with the clearml SDK and scikit-learn from PyPI"
  began=$(date +%s.%N)
  ctl submit "$here/train.py" --name "digits ($round)" --project "clearmld demo" \
    --requirements "$here/requirements.txt" --queue default --follow
  ended=$(date +%s.%N)
  took+=($(echo "$ended $began" | awk '{ printf "%.1f", $1 - $2 }'))
done

say "4. what became of them"
ctl run list
ctl task list
printf '\nfrom submit to completed: %s s with a fresh environment, %s s with the cached one\n' "${took[0]}" "${took[1]}" >&2
