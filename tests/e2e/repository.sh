#!/usr/bin/env bash
# A bare git repository with a task that uses the clearml SDK.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bare=${1:?usage: repository.sh DIRECTORY}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost
export GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
cp "$here/train.py" "$tree/train.py"
grep '^clearml==' "$here/../prepare/requirements.txt" >"$tree/requirements.txt"
git -C "$tree" init --quiet --initial-branch=main
git -C "$tree" add .
git -C "$tree" commit --quiet --message='A task'
git clone --quiet --bare "$tree" "$bare"
