#!/bin/sh
# promtool into TARGET, out of Debian's package, which is not installed: it would start a server. Where there is no such
# package, the tests say what is missing.
set -eu
target=$1
[ -x "$target/promtool" ] && exit 0
command -v promtool > /dev/null && exit 0
command -v apt-get > /dev/null || { echo "promtool is not there, and no apt to fetch it with" >&2; exit 0; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
(cd "$scratch" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }) >&2
dpkg-deb --fsys-tarfile "$scratch"/prometheus_*.deb | tar -x -C "$scratch" ./usr/bin/promtool
mkdir -p "$target"
mv "$scratch/usr/bin/promtool" "$target/promtool"
