#!/bin/sh
# Installs the Debian packages of a list that are missing, when root; else names them.
# usage: ci/system-packages.sh LIST
set -eu
list=$1

command -v dpkg-query >/dev/null || exit 0
wanted=$(grep -v '^#' "$list" | while read -r package; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
done | xargs)
if [ -n "$wanted" ] && [ "$(id -u)" = 0 ]; then
    echo "setup: installing $wanted"
    apt-get update -qq
    # shellcheck disable=SC2086  # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $wanted >/dev/null
elif [ -n "$wanted" ]; then
    echo "setup: not root, so these stay missing: $wanted" >&2
    echo "setup: some tests will be skipped; 'sudo apt-get install $wanted' brings them" >&2
fi
