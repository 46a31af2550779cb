#!/usr/bin/env bash
# clearmld under a real systemd: inside/main.py installs the package in a container that systemd boots, and says,
# behaviour by behaviour, what holds there. The container has no network.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
usage='usage: run.sh DEB SHIM-TESTS SANDBOX-TESTS CACHE [SUITE]'
deb=${1:?$usage}
# The launcher's tests that need systemd.
tests=${2:?$usage}
# Those that try to get out of a sandbox.
escapes=${3:?$usage}
cache=${4:?$usage}
# The release of Debian whose systemd it is to be; what needs more than one boot is left to the host's own.
suite=${5:-}
# One run takes half of this on two slow cores.
limit=400

if [ "$(id -u)" != 0 ]; then
  echo "the tests under systemd boot a container, which needs root: sudo make test-systemd" >&2
  exit 1
fi
if [ -n "$suite" ] && ! grep -q '^ID=debian$' /etc/os-release; then
  echo "NOT RUN: clearmld is run under the systemd of another release on Debian only" >&2
  exit 0
fi
"$repository/tests/prepare/host.sh" systemd
base=$("$here/rootfs.sh" "$cache" $suite)

scratch=$(mktemp -d "$cache/run.XXXXXX")
root=$scratch/root
reader=
finish() {
  status=$?
  [ -z "$reader" ] || kill "$reader" 2>/dev/null || true
  if mountpoint -q "$root"; then umount "$root"; fi
  rm -rf "$scratch"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# The kept file system stays as it is: what a run writes is a layer over it, or else goes into a copy.
mkdir "$root" "$scratch/upper" "$scratch/work"
layers=lowerdir=$base,upperdir=$scratch/upper,workdir=$scratch/work
if ! mount -t overlay overlay -o "$layers" "$root" 2>/dev/null; then
  rmdir "$root"
  cp -a --reflink=auto "$base" "$root"
fi

install -D -m 0644 "$here/local.conf" "$root/etc/systemd/system/clearmld.service.d/local.conf"
# A driver's library of ours, where the real one would be.
cc -shared -fPIC -o "$root/usr/lib/libnvidia-ml.so.1" "$repository/tests/nvml/stub.c"
cp "$repository/tests/nvml/two.conf" "$root/usr/lib/libnvidia-ml.so.1.conf"
install -D -m 0644 -t "$root/check" "$here"/inside/* "$here/clearmld.toml"
if [ -n "$suite" ]; then
  "$here/carried.sh" "$deb" "$root/check/clearmld.deb"
  : >"$root/check/only-one-boot"
else
  install -m 0644 "$deb" "$root/check/clearmld.deb"
fi
install -D -m 0644 -t "$root/check/documents" "$repository/README.md"
install -D -m 0644 -t "$root/check/documents/docs" "$repository"/docs/*.md
install -m 0755 "$tests" "$root/check/shim-tests"
install -m 0755 "$escapes" "$root/check/sandbox-tests"
install -m 0755 "$(dirname "$tests")/../clearmld-shim" "$root/check/clearmld-shim"
install -D -m 0644 "$here/check.service" "$root/etc/systemd/system/check.service"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/var/log/journal"
ln -s ../check.service "$root/etc/systemd/system/multi-user.target.wants/check.service"
echo clearmld-test >"$root/etc/hostname"
: >"$root/check/out"

tail -n +1 -s 0.1 -F "$root/check/out" 2>/dev/null &
reader=$!
# Runs make overlays of their own, which cannot lie on another.
mkdir -m 0700 "$scratch/state"
options=(--quiet --boot --directory "$root" "--bind=$scratch/state:/var/lib/clearmld" --private-network
  --link-journal=no "--machine=clearmld-test-$$")
# Without a systemd on this host, nobody can be asked for a unit of the container's own.
[ -d /run/systemd/system ] || options+=(--register=no --keep-unit)
began=$(date +%s)
# A boot ends when the tests power off, or reboot on purpose; they write `result` when there is no more to see.
for _ in 1 2 3 4 5; do
  left=$((began + limit - $(date +%s)))
  [ ! -e "$root/check/result" ] && [ $left -gt 0 ] || break
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=10 "$left" systemd-nspawn "${options[@]}" \
    </dev/null >>"$scratch/console" 2>&1 || true
done
sleep 0.5
took=$(($(date +%s) - began))

if [ "$(cat "$root/check/result" 2>/dev/null)" = ok ]; then
  version=$(chroot "$root" systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  boots=$(cat "$root/check/phase")
  echo "under systemd $version: all $(grep -c '^ok ' "$root/check/out") behaviours hold ($took s, boots: $boots)"
else
  echo "the container's console ended with:" >&2
  tail -n 15 "$scratch/console" >&2 || true
  echo "under systemd: FAILED after $took s; $(grep -c '^ok ' "$root/check/out") behaviours held before" >&2
  [ -z "${KEEP_JOURNAL:-}" ] || cp -a "$root/var/log/journal" "$KEEP_JOURNAL"
  exit 1
fi
