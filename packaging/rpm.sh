#!/usr/bin/env bash
# An RPM package of a staged tree. Prints where it is.
set -euo pipefail

usage='usage: rpm.sh STAGE PACKAGES'
stage=$(realpath "${1:?$usage}")
packages=$(realpath "${2:?$usage}")
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/.." && pwd)

# A hyphen separates version and release; a tilde sorts a release candidate before its release.
version=$("$here/version.sh" | tr - '~')
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct 2>/dev/null || date +%s)}

maintainer=$(sed -n 's/^Maintainer: //p' "$here/debian/control")
catalog=0
if [ -e "$stage/usr/lib/systemd/catalog/clearmld.catalog" ]; then catalog=1; fi

build=$packages/rpm
rm -rf "$build"
mkdir -p "$build/BUILD"
cp "$repository/LICENSE" "$build/BUILD/"
{
  cat "$here/rpm/clearmld.spec"
  echo %changelog
  "$here/changelog.sh" rpm "$repository/CHANGELOG.md" "$version" "$maintainer" "$SOURCE_DATE_EPOCH"
} >"$build/clearmld.spec"
rpmbuild -bb --quiet --define "_topdir $build" --define "clearmld_version $version" --define "stage $stage" \
  --define "maintainer $maintainer" --define "with_catalog $catalog" \
  --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
  --define "_buildhost localhost" "$build/clearmld.spec" >"$build/log" 2>&1 || {
    cat "$build/log" >&2
    exit 1
  }
mv "$build"/RPMS/*/*.rpm "$packages/"
rm -rf "$build"
ls "$packages/clearmld-$version"-*.rpm
