#!/bin/sh
# Records the newest of Debian's sources that can be had, and the hashes of what comes from PyPI. usage: lock.sh
# Versions from PyPI are those of ci/requirements.txt; the compiler's changes by hand in requirements.txt.
set -eu
. "$(dirname "$0")/env.sh"

"$here/fetch.sh"
mv "$work/lock" "$here/lock"
touch "$work/run" # see bootloader.sh

# usage: pin FILE PIP-OPTION…: writes the version and the hash of each package named there
pin() {
    file=$1
    shift
    sed -n '/^#/p' "$file" >"$work/pinned"
    sed -n 's/^\([a-z0-9_-]*\)==.*/\1/p' "$file" | while read -r package; do
        pinned=$(grep -h "^$package==" "$here/../requirements.txt" "$file" | head -n 1 | cut -d ' ' -f 1)
        rm -rf "$work/pin"
        quietly pin env PYI_PLATFORM="$work" "$venv/bin/pip" download --disable-pip-version-check --no-deps --no-build-isolation "$@" -d "$work/pin" "$pinned"
        printf '%s \\\n    --hash=sha256:%s\n' "$pinned" "$(cat "$work/pin"/* | sha256sum | cut -d ' ' -f 1)" >>"$work/pinned"
    done
    mv "$work/pinned" "$file"
}
pin "$here/requirements.txt" --no-binary pyinstaller
pin "$here/../freeze/requirements.txt" --only-binary :all:
rm -rf "$work"
git -C "$here" diff --stat -- . ../freeze
