#!/usr/bin/env bash
# The same package with the C library that its programs were linked with, for a release that has an older one.
set -euo pipefail

usage='usage: carried.sh DEB OTHER-DEB'
deb=${1:?$usage}
other=${2:?$usage}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
dpkg-deb --raw-extract "$deb" "$tree"
libraries=/usr/lib/clearmld/libc
mkdir "$tree$libraries"
for program in clearmld clearmlctl; do
  interpreter=$(patchelf --print-interpreter "$tree/usr/bin/$program")
  mapfile -t needed < <(ldd "$tree/usr/bin/$program" | sed -n 's/.*=> \(\S*\) .*/\1/p')
  cp -L "$interpreter" "${needed[@]}" "$tree$libraries"
  patchelf --set-interpreter "$libraries/$(basename "$interpreter")" --set-rpath "$libraries" "$tree/usr/bin/$program"
done
sed -i '/^Depends:/s/libc6 ([^)]*)/libc6/' "$tree/DEBIAN/control"
sed -i '/ usr\/bin\//d' "$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Znone --build "$tree" "$other" >/dev/null
