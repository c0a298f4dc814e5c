#!/bin/sh
# The release's notes: what CHANGELOG.md has for it, and what is fixed and open in the bundled parts since the release before.
# usage: notes.sh <FILE    (what ci/runtime/newer.sh said)
set -eu
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' agent/pdagent/__init__.py)
echo "# PagerDuty Agent $version, $(TZ=UTC git log -1 --format=%cd --date=format-local:%F)"
# Changes that no version is named for belong to this one.
awk -v version="$version" '/^## / { ours = $2 == "Unreleased" || $2 == version || $2 == version ","; if (!ours && found) exit; found = ours; next }
    found' CHANGELOG.md
lock=$(mktemp)
trap 'rm -f "$lock"' EXIT
before=$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null) && git show "$before:ci/runtime/lock" >"$lock"
python3 ci/release/vulnerabilities.py notes "$lock"
