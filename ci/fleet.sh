#!/bin/sh
# Makes an environment with fleet-requirements.txt in it, unless the cache has it, and prints where it lies.
# usage: ci/fleet.sh
set -eu
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
venv=$cache/fleet-$(sha256sum <fleet-requirements.txt | cut -c1-12)
if [ ! -e "$venv/.ready" ]; then
    mkdir -p "$cache"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r fleet-requirements.txt >&2
    touch "$venv/.ready"
fi
echo "$venv"
