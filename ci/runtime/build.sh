#!/bin/sh
# The runtime, from the cache or built: prints its directory, which holds run (PyInstaller's bootloader with Python inside),
# lock (what it was built from) and, on amd64, usr/bin/python3.13 (for PyInstaller to run on). usage: [ARCH=amd64|arm64] build.sh
# Fifteen minutes at most, once for every change of these scripts, the lock or Debian's sources. In two parts: libraries and Python
# take all the time, and a change of the bootloader or its shim leaves them as they are.
set -eu
. "$(dirname "$0")/env.sh"
# The hash of files here and of standard input. usage: hash 'PATTERN…'
# shellcheck disable=SC2086  # expanded here, and not where we were called
hash() { (cd "$here" && sha256sum $1 && sha256sum) | sha256sum | cut -c 1-16; }
# Libraries and Python made from these scripts, this compiler and the sources of a lock file. Not of how the sources were found:
# the lock has their hashes. usage: libraries LOCK
libraries() {
    echo "$cache/libraries-$ARCH-$(sed '/^#/d' "$1" | hash 'env.sh toolchain.sh unpack.sh zlib.sh openssl.sh python.sh
        modules-left-out codecs python.profdata.xz patches/*.patch pages.c fortify.c requirements.txt')"
}
# The runtime on top of those. usage: place LOCK
place() { echo "$cache/runtime-$ARCH-$(libraries "$1" | hash 'bootloader.sh shim.c early.c')"; }

runtime=$(place "$here/lock")
if [ -d "$runtime" ]; then
    echo "$runtime"
    exit
fi
mkdir -p "$cache"
exec 9>"$cache/runtime-$ARCH.lock"
flock 9 # one build at a time, whoever asks
if [ ! -d "$runtime" ]; then
    rm -rf "$work"
    if [ -d "$(libraries "$here/lock")" ]; then
        mkdir -p "$work"
        cp "$here/lock" "$work/lock"
    else
        "$here/fetch.sh"
    fi
    runtime=$(place "$work/lock") # Debian may have moved on
fi
if [ ! -d "$runtime" ]; then
    libraries=$(libraries "$work/lock")
    say "building for $ARCH with $jobs jobs, in $work"
    if [ ! -d "$libraries" ]; then
        if [ "$ARCH" != amd64 ]; then
            BUILD_PYTHON=$(ARCH=amd64 "$here/build.sh")/usr/bin/python$python
            export BUILD_PYTHON
        fi
        for step in toolchain zlib openssl python; do
            say "$step"
            "$here/$step.sh" >&2
        done
        mv "$out" "$libraries"
    fi
    cp -R "$libraries" "$out"
    say bootloader
    "$here/toolchain.sh" >&2
    "$here/bootloader.sh" >&2
    rm -rf "$out/include" "${out:?}/lib"
    cp "$work/lock" "$out/"
    mv "$out" "$runtime"
fi
rm -rf "$work"
echo "$runtime"
