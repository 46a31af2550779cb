#!/usr/bin/env bash
# Lays what was built out as it is installed. The packages and `make install` have the same tree.
set -euo pipefail

usage='usage: install.sh BINARIES SHIM PAGES DESTDIR PREFIX'
bin=${1:?$usage}
shim=${2:?$usage}
pages=${3:?$usage}
# Empty is the host itself.
root=${4?$usage}
prefix=${5:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/.." && pwd)

lay() { # lay MODE SOURCE TARGET
  install -D -m "$1" "$2" "$root$3"
}
# The units name the programs where packages put them.
placed() { # placed MODE SOURCE TARGET
  lay "$1" "$2" "$3"
  [ "$prefix" = /usr ] || sed -i "s|/usr/bin/clearmld|$prefix/bin/clearmld|g; s|/usr/lib/clearmld|$prefix/lib/clearmld|g" "$root$3"
}

lay 0755 "$bin/clearmld" "$prefix/bin/clearmld"
lay 0755 "$bin/clearmlctl" "$prefix/bin/clearmlctl"
lay 0755 "$shim" "$prefix/lib/clearmld/clearmld-shim"
placed 0755 "$here/steps/package-steps" "$prefix/lib/clearmld/package-steps"

for unit in "$repository"/systemd/*.service "$repository"/systemd/*.slice; do
  placed 0644 "$unit" "$prefix/lib/systemd/system/$(basename "$unit")"
done
# package-steps puts it in place where systemd knows it.
placed 0644 "$repository/systemd/notify-reload.conf" "$prefix/lib/clearmld/notify-reload.conf"
lay 0644 "$repository/systemd/clearmld.preset" "$prefix/lib/systemd/system-preset/90-clearmld.preset"
lay 0644 "$repository/systemd/clearmld.sysusers" "$prefix/lib/sysusers.d/clearmld.conf"
lay 0644 "$repository/systemd/clearmld.tmpfiles" "$prefix/lib/tmpfiles.d/clearmld.conf"
if [ -e "$repository/systemd/clearmld.catalog" ]; then
  lay 0644 "$repository/systemd/clearmld.catalog" "$prefix/lib/systemd/catalog/clearmld.catalog"
fi

placed 0644 "$here/apparmor/clearmld" /etc/apparmor.d/clearmld
install -d -m 0755 "$root/etc/clearmld" "$root/etc/clearmld/workers.d"
lay 0644 "$here/workers.d/example.toml.disabled" /etc/clearmld/workers.d/example.toml.disabled
# What an operator has written stays.
if [ -n "$root" ] || [ ! -e /etc/clearmld/clearmld.toml ]; then
  lay 0644 "$pages/clearmld.toml" /etc/clearmld/clearmld.toml
fi

for page in "$pages"/man/*.[1-8]; do
  lay 0644 "$page" "$prefix/share/man/man${page##*.}/$(basename "$page")"
done
lay 0644 "$pages/completions/clearmlctl.bash" "$prefix/share/bash-completion/completions/clearmlctl"
lay 0644 "$pages/completions/_clearmlctl" "$prefix/share/zsh/site-functions/_clearmlctl"
lay 0644 "$pages/completions/clearmlctl.fish" "$prefix/share/fish/vendor_completions.d/clearmlctl.fish"
for text in "$repository"/docs/*.md; do
  lay 0644 "$text" "$prefix/share/doc/clearmld/docs/$(basename "$text")"
done
for text in "$here"/grafana/*.json "$here"/prometheus/clearmld.rules.yml "$here/policy.toml.example"; do
  lay 0644 "$text" "$prefix/share/doc/clearmld/$(basename "$text")"
done
for text in "$repository"/README.md "$repository"/SECURITY.md "$pages/THIRD-PARTY"; do
  lay 0644 "$text" "$prefix/share/doc/clearmld/$(basename "$text")"
done
