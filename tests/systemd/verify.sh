#!/usr/bin/env bash
# The units under the oldest and the newest systemd that they are for (247 and 257): systemd-analyze --man=no verify must have
# nothing to say. Its exit code is 0 for a setting that it does not know, so anything that it says is a failure.
set -euo pipefail

cache=${1:?usage: verify.sh CACHE}
units=$(cd "$(dirname "$0")/../../systemd" && pwd)
. /etc/os-release
if [ "$ID" != debian ]; then
  echo "NOT RUN: the units are verified under other releases' systemd on Debian only, and this is $ID" >&2
  exit 0
fi
for suite in bullseye trixie; do
  root=$cache/verify-$suite
  if [ ! -d "$root" ]; then
    mkdir -p "$cache"
    making=$(mktemp -d "$cache/making.XXXXXX")
    trap 'rm -rf "$making"' EXIT
    echo "making $root; half a minute, once" >&2
    mmdebstrap --quiet --mode=root --variant=minbase --include=systemd,dbus \
      --aptopt='APT::Install-Recommends "false"' "$suite" "$making/root" >&2
    mv "$making/root" "$root"
  fi
  system=$root/usr/lib/systemd/system
  rm -rf "$system"/clearml*
  install -D -m 0644 -t "$system" "$units"/*.service "$units"/*.slice
  # There is to be something to start.
  install -D -m 0755 /bin/true "$root/usr/bin/clearmld"
  version=$(chroot "$root" systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  # The drop-in for 253 and newer, as packages put it in place.
  [ "$version" -lt 253 ] || install -D -m 0644 -t "$system/clearmld.service.d" "$units/notify-reload.conf"
  rm -f "$root/said"
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 60 systemd-nspawn --quiet --directory "$root" --register=no --keep-unit \
    --private-network sh -c 'cd /usr/lib/systemd/system && systemd-analyze --man=no verify ./clearml*.service ./clearml*.slice >/said 2>&1; echo "exit $?" >>/said' \
    </dev/null >/dev/null 2>&1 || true
  if [ "$(cat "$root/said")" != "exit 0" ]; then
    echo "systemd $version ($suite) on the units:" >&2
    cat "$root/said" >&2
    exit 1
  fi
  echo "systemd $version ($suite) has nothing to say about the units"
done
