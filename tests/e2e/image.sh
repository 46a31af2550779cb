#!/usr/bin/env bash
# Makes the disk image that the end-to-end test boots, once: it is kept below DIRECTORY under a name that changes with
# whatever goes into it. Prints where it is: a directory with root.img, vmlinuz and initrd.img.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${1:?usage: image.sh DIRECTORY}
# The programs are built against this host's C library: the guest is of the same release.
. /etc/os-release
suite=${VERSION_CODENAME:?/etc/os-release names no release; this test needs Debian or Ubuntu}
components=main
kernel=linux-image-cloud-amd64
[ "$ID" != ubuntu ] || { components=main,universe kernel=linux-image-virtual; }
if [ "$(dpkg --print-architecture)" != amd64 ]; then
  echo "the end-to-end test boots a machine of its own and knows amd64 only" >&2
  exit 1
fi
packages=$kernel,initramfs-tools,zstd,kmod,udev,systemd,systemd-sysv,dbus,apparmor,procps,ca-certificates
# What clearmld depends on, recommends, or is to see.
packages+=,git,python3,python3-venv,docker.io,iptables

key=$(cat "$0" "$here/check.service" <(printf '%s %s' "$ID" "$suite") | sha256sum | cut -c1-16)
image=$cache/$key

# Before the packages are configured: an initrd of three modules instead of a hundred. $1 is the file system.
small_initrd='mkdir -p "$1/etc/initramfs-tools/conf.d"
  printf "COMPRESS=zstd\nMODULES=list\n" >"$1/etc/initramfs-tools/conf.d/image"
  printf "%s\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"'

configure() {
  local root=$1
  echo clearmld-test >"$root/etc/hostname"
  printf '127.0.0.1 localhost clearmld-test\n::1 localhost\n' >"$root/etc/hosts"
  printf 'LABEL=root / ext4 rw,noatime 0 0\nLABEL=check /check ext4 ro 0 0\n' >"$root/etc/fstab"
  mkdir -p "$root/check" "$root/var/log/journal"
  : >"$root/etc/machine-id" # made by the first boot
  # The packages that are tested bring manual pages; only those of the image are left out.
  rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
  # What waits or works in the background costs seconds of an emulated processor.
  chroot "$root" systemctl --quiet mask getty@tty1.service serial-getty@ttyS0.service systemd-timesyncd.service \
    systemd-networkd-wait-online.service systemd-hwdb-update.service e2scrub_reap.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount
  # Started by the check that wants it.
  chroot "$root" systemctl --quiet disable docker.service docker.socket containerd.service
  install -m 0644 "$here/check.service" "$root/etc/systemd/system/check.service"
  chroot "$root" systemctl --quiet set-default graphical.target
  chroot "$root" systemctl --quiet enable check.service
}

if [ ! -d "$image" ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "making a disk image needs root: sudo make test-e2e" >&2
    exit 1
  fi
  mkdir -p "$cache"
  making=$(mktemp -d "$cache/making.XXXXXX")
  trap 'rm -rf "$making"' EXIT
  trap 'exit 130' INT TERM
  echo "making the disk image $image ($suite: $packages); two minutes or three, once" >&2
  mkdir "$making/image"
  mmdebstrap --quiet --mode=root --variant=minbase --components="$components" --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='APT::Install-Recommends "false"' \
    --essential-hook="$small_initrd" \
    "$suite" "$making/root" >&2
  configure "$making/root"
  cp -L "$making/root/vmlinuz" "$making/root/initrd.img" "$making/image"
  truncate -s 4G "$making/image/root.img"
  # -d fills it from a directory: neither a loop device nor a mount is needed.
  mke2fs -q -t ext4 -L root -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -d "$making/root" "$making/image/root.img"
  mv "$making/image" "$image"
fi
echo "$image"
