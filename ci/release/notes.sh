#!/bin/sh
# The release's notes: the newest part of CHANGELOG.md, and what is fixed and open in the bundled parts since the release before.
# usage: notes.sh
set -eu
cd "$(dirname "$0")/../.."
awk '/^## / { if (found) exit; found = 1 } found' CHANGELOG.md
lock=$(mktemp)
trap 'rm -f "$lock"' EXIT
before=$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null) && git show "$before:ci/runtime/lock" >"$lock"
python3 ci/release/vulnerabilities.py notes "$lock"
