#!/usr/bin/env bash
# Makes the root file system that the tests boot, once: it is kept below DIRECTORY under a name that changes with
# whatever goes into it. Prints where it is.
set -euo pipefail

cache=${1:?usage: rootfs.sh DIRECTORY [SUITE]}
# The programs are built against this host's C library: the container is of the same release, unless one is asked for.
. /etc/os-release
suite=${2:-${VERSION_CODENAME:?/etc/os-release names no release; these tests need Debian or Ubuntu}}
components=main
[ "$ID" != ubuntu ] || components=main,universe
# python3-venv brings ensurepip: an environment is made without a network.
packages=systemd,systemd-sysv,dbus,python3,python3-venv,procps,ca-certificates,git

key=$(cat "$0" <(printf '%s %s %s' "$ID" "$suite" "$(dpkg --print-architecture)") | sha256sum | cut -c1-16)
root=$cache/$key
if [ ! -d "$root" ]; then
  mkdir -p "$cache"
  making=$(mktemp -d "$cache/making.XXXXXX")
  trap 'rm -rf "$making"' EXIT
  echo "making the root file system $root ($suite: $packages); about a minute, once" >&2
  mmdebstrap --quiet --mode=root --variant=minbase --components="$components" --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='APT::Install-Recommends "false"' \
    "$suite" "$making/root" >&2
  mv "$making/root" "$root"
fi
echo "$root"
