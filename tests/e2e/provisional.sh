#!/usr/bin/env bash
set -euo pipefail
bin=$1 shim=$2 out=$3
r=$(cd "$(dirname "$0")/../.." && pwd)
t=$(mktemp -d); trap 'rm -rf $t' EXIT
install -D -m 0755 -t $t/usr/bin $bin/clearmld $bin/clearmlctl
strip $t/usr/bin/*
install -D -m 0755 $shim $t/usr/lib/clearmld/clearmld-shim
install -D -m 0644 -t $t/lib/systemd/system $r/systemd/*.service $r/systemd/*.slice
install -D -m 0644 $r/systemd/clearmld.sysusers $t/usr/lib/sysusers.d/clearmld.conf
mkdir $t/DEBIAN
printf 'Package: clearmld\nVersion: 0.1.0\nArchitecture: amd64\nMaintainer: x <x@localhost>\nDepends: systemd, python3, git\nDescription: ClearML workers\n' >$t/DEBIAN/control
cat >$t/DEBIAN/postinst <<'E'
#!/bin/sh
set -e
systemd-sysusers clearmld.conf
systemctl daemon-reload
[ -z "$2" ] || systemctl try-restart clearmld
E
cat >$t/DEBIAN/postrm <<'E'
#!/bin/sh
set -e
if [ "$1" = purge ]; then
  systemctl disable clearmld 2>/dev/null || true
  rm -rf /etc/clearmld /var/lib/clearmld
  userdel clearml-run || true; groupdel clearml || true
fi
systemctl daemon-reload
E
chmod 755 $t/DEBIAN/post*
dpkg-deb --root-owner-group -Zzstd -b $t $out
