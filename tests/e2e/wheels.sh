#!/usr/bin/env bash
# Fetches what the guest, which has no network, installs: the clearml SDK with all it depends on, and uv. Kept below
# DIRECTORY under a name that changes with the versions wanted. Prints where it is: a directory with wheels/ and uv.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${1:?usage: wheels.sh DIRECTORY}
# The guest's interpreter is this host's; the SDK is that of the other tests.
python=/usr/bin/python3
sdk=$(grep '^clearml==' "$here/../prepare/requirements.txt")
uv=uv==0.13.9

key=$(printf '%s' "$sdk $uv $($python -VV) $(cat "$0")" | sha256sum | cut -c1-16)
kept=$cache/wheels-$key
if [ ! -d "$kept" ]; then
  mkdir -p "$cache"
  making=$(mktemp -d "$cache/making.XXXXXX")
  trap 'rm -rf "$making"' EXIT
  trap 'exit 130' INT TERM
  pip=("$python" -m pip --quiet --disable-pip-version-check)
  "${pip[@]}" download --only-binary=:all: --dest "$making/kept/wheels" "$sdk"
  "${pip[@]}" install --root-user-action=ignore --no-deps --target "$making/uv" "$uv"
  install -m 0755 "$making/uv/bin/uv" "$making/kept/uv"
  chmod -R a+rX "$making/kept"
  mv "$making/kept" "$kept"
fi
echo "$kept"
