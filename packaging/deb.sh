#!/usr/bin/env bash
# A Debian package of a staged tree. Prints where it is.
set -euo pipefail

usage='usage: deb.sh STAGE PACKAGES'
stage=$(realpath "${1:?$usage}")
packages=$(realpath "${2:?$usage}")
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/.." && pwd)

# A hyphen would begin the revision of a packager; a tilde sorts a release candidate before its release.
version=$("$here/version.sh" | tr - '~')
maintainer=$(sed -n 's/^Maintainer: //p' "$here/debian/control")
architecture=$(dpkg --print-architecture)
# Times of files, too, are those of the source.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct 2>/dev/null || date +%s)}

build=$packages/deb/clearmld-$version
rm -rf "$packages/deb"
mkdir -p "$build"
cp -a "$here/debian" "$build/debian"
"$here/changelog.sh" deb "$repository/CHANGELOG.md" "$version" "$maintainer" "$SOURCE_DATE_EPOCH" >"$build/debian/changelog"
(cd "$build" && STAGE=$stage debian/rules binary) >"$packages/deb/log" 2>&1 || {
  cat "$packages/deb/log" >&2
  exit 1
}
mv "$packages/deb/clearmld_${version}_$architecture.deb" "$packages/"
rm -rf "$packages/deb"
echo "$packages/clearmld_${version}_$architecture.deb"
