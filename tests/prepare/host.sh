#!/usr/bin/env bash
# Makes sure that this host has what building (`build`), testing (`test`), testing in a booted container (`systemd`),
# in a booted machine (`e2e`), packaging (`package`) or looking at packages (`package-test`) needs: by apt where that is
# allowed, else by naming what to install.
set -euo pipefail

what=${1:?usage: host.sh build|test|systemd|e2e|package|package-test}
missing=() # Debian packages

need() { # need PACKAGE COMMAND…: the first command that is not there asks for the package
  local package=$1 command
  shift
  for command in "$@"; do
    command -v "$command" >/dev/null 2>&1 || { missing+=("$package"); return 0; }
  done
}

if ! command -v cargo >/dev/null 2>&1; then
  echo "cargo is not there: install a Rust toolchain (https://rustup.rs), then run this again" >&2
  exit 1
fi
need gcc cc
need git git
need make make
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# The interpreter of the tasks: one that the payload's user can execute, so not one below /root.
if [ ! -x /usr/bin/python3 ]; then missing+=(python3); fi
if ! /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
if ! /usr/bin/python3 -m pip --version >/dev/null 2>&1; then missing+=(python3-pip); fi
if [ "$what" = test ]; then need curl curl; fi
if [ "$what" = systemd ]; then
  need systemd-container systemd-nspawn
  need patchelf patchelf
  need mmdebstrap mmdebstrap
fi
if [ "$what" = e2e ]; then
  need qemu-system-x86 qemu-system-x86_64
  need mmdebstrap mmdebstrap
  PATH=$PATH:/usr/sbin need e2fsprogs mke2fs
  need binutils strip
  need util-linux setpriv
fi
if [ "$what" = package ]; then
  need dpkg-dev dpkg-shlibdeps
  need debhelper dh
  need dh-apparmor dh_apparmor
  need rpm rpmbuild
fi
if [ "$what" = package-test ]; then
  need lintian lintian
  need rpmlint rpmlint
  need rpm rpmbuild
  need dnf dnf
  need apparmor apparmor_parser
  need man-db man
  need zsh zsh
  need fish fish
  need mmdebstrap mmdebstrap
fi
if [ "$what" = test ]; then
  need procps ps
  need util-linux setpriv
fi

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
else
  echo "these are missing: ${missing[*]}; install them (apt-get install ${missing[*]}), then run this again" >&2
  exit 1
fi
