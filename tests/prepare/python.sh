#!/usr/bin/env bash
# The Python side of the tests: the unmodified clearml SDK, the unmodified clearml-agent, a stock gRPC client.
set -euo pipefail

venv=${1:?usage: python.sh DIRECTORY}
here=$(cd "$(dirname "$0")" && pwd)
stamp=$venv/.requirements
cmp -s "$here/requirements.txt" "$stamp" && exit 0
/usr/bin/python3 -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/requirements.txt" "$stamp"
