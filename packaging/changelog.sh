#!/usr/bin/env bash
# CHANGELOG.md as the packages have it. What is not released yet belongs to the version of Cargo.toml.
set -euo pipefail

usage='usage: changelog.sh deb|rpm CHANGELOG.md VERSION MAINTAINER SECONDS'
kind=${1:?$usage}
file=${2:?$usage}
version=${3:?$usage}
maintainer=${4:?$usage}
seconds=${5:?$usage}

# As one tagged line each: R(elease) and its date, S(ection), I(tem). A release is "## 0.1.0 - 2026-11-24"; an item begins
# with "- " and goes on indented.
awk -v version="$version" -v today="@$seconds" '
  function flush() { if (item != "") print "I" item; item = "" }
  /^## / {
    flush()
    print "R" ($2 == "Unreleased" ? version : $2) " " (NF >= 4 ? $4 : today)
    open = 1
    next
  }
  !open { next }
  /^### / { flush(); sub(/^### /, ""); print "S" $0; next }
  /^- / { flush(); item = substr($0, 3); next }
  /^ / { sub(/^ +/, " "); item = item $0; next }
  END { flush(); print "E" }
' "$file" | {
  export LC_ALL=C TZ=UTC
  signature=
  while IFS= read -r line; do
    text=${line:1}
    read -r name when _ <<<"$text" || true
    case $kind$line in
      deb[RE]*)
        if [ -n "$signature" ]; then printf '\n -- %s\n\n' "$signature"; fi
        [ "$line" != E ] || continue
        signature="$maintainer  $(date -R -d "$when")"
        printf 'clearmld (%s) unstable; urgency=medium\n' "$name"
        ;;
      debS*) printf '\n  [ %s ]\n' "$text" ;;
      debI*) fmt -w 74 <<<"$text" | sed '1s/^/  * /; 2,$s/^/    /' ;;
      rpmR*) printf '\n* %s %s - %s-1\n' "$(date -d "$when" '+%a %b %d %Y')" "$maintainer" "$name" ;;
      # rpm would expand a percent sign.
      rpmI*) fmt -w 76 <<<"${text//%/%%}" | sed '1s/^/- /; 2,$s/^/  /' ;;
      *) ;;
    esac
  done
}
