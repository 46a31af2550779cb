#!/usr/bin/env bash
# The same package once more, of a higher version and with a daemon that can be told from the other one.
set -euo pipefail

deb=${1:?usage: newer.sh DEB NEWER-DEB}
newer=${2:?usage: newer.sh DEB NEWER-DEB}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
dpkg-deb --raw-extract "$deb" "$tree"
sed -i 's/^Version: .*/&+e2e/' "$tree/DEBIAN/control"
# Behind the end of an ELF file anything may stand.
printf 'the newer one' >>"$tree/usr/bin/clearmld"
sed -i '/ usr\/bin\/clearmld$/d' "$tree/DEBIAN/md5sums" 2>/dev/null || true
dpkg-deb --root-owner-group -Znone --build "$tree" "$newer" >/dev/null
