#!/usr/bin/env bash
# CHANGELOG.md as debian/changelog. What is not released yet belongs to the version of Cargo.toml.
set -euo pipefail

usage='usage: changelog.sh CHANGELOG.md VERSION MAINTAINER DATE'
file=${1:?$usage}
version=${2:?$usage}
maintainer=${3:?$usage}
date=${4:?$usage}

# A release is "## 0.1.0 - 2026-11-24"; an item begins with "- " and goes on indented.
awk -v version="$version" -v maintainer="$maintainer" -v date="$date" '
  function flush() { if (item != "") print "I" item; item = "" }
  function close_release() { flush(); if (open) print "D" maintainer "  " when }
  /^## / {
    close_release()
    name = $2; when = date
    if (name == "Unreleased") name = version
    else if (NF >= 4) { ("LC_ALL=C date -u -R -d " $4) | getline when }
    print "R" name; open = 1; next
  }
  !open { next }
  /^### / { flush(); sub(/^### /, ""); print "S" $0; next }
  /^- / { flush(); item = substr($0, 3); next }
  /^ / { sub(/^ +/, " "); item = item $0; next }
  END { close_release() }
' "$file" | while IFS= read -r line; do
  text=${line:1}
  case $line in
    R*) printf 'clearmld (%s) unstable; urgency=medium\n\n' "$text" ;;
    S*) printf '  [ %s ]\n' "$text" ;;
    I*) fmt -w 74 <<<"$text" | sed '1s/^/  * /; 2,$s/^/    /' ;;
    D*) printf '\n -- %s\n\n' "$text" ;;
  esac
done
