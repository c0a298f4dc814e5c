#!/bin/sh
# The runtime, from the cache or built: prints its directory, which holds run (PyInstaller's bootloader with Python inside),
# usr/bin/python3.13 (for PyInstaller to run on) and lock (what it was built from). usage: build.sh
# Fifteen minutes at most, once for every change of these scripts, the lock or Debian's sources.
set -eu
. "$(dirname "$0")/env.sh"
# The runtime made from these scripts, this compiler and the sources of a lock file. usage: place LOCK
place() {
    inputs=$(cd "$here" && sha256sum env.sh apt.sh fetch.sh toolchain.sh unpack.sh zlib.sh openssl.sh python.sh \
        modules-left-out codecs python.profdata.xz pages.c fortify.c bootloader.sh shim.c requirements.txt)
    echo "$cache/runtime-$(echo "$inputs" | cat - "$1" | sha256sum | cut -c 1-16)"
}

runtime=$(place "$here/lock")
if [ -d "$runtime" ]; then
    echo "$runtime"
    exit
fi
mkdir -p "$cache"
exec 9>"$cache/runtime.lock"
flock 9 # one build at a time, whoever asks
if [ ! -d "$runtime" ]; then
    rm -rf "$work"
    "$here/fetch.sh"
    runtime=$(place "$work/lock") # Debian may have moved on
fi
if [ ! -d "$runtime" ]; then
    say "building with $jobs jobs, in $work"
    for step in toolchain zlib openssl python bootloader; do
        say "$step"
        "$here/$step.sh" >&2
    done
    rm -rf "$out/include" "${out:?}/lib"
    cp "$work/lock" "$out/"
    mv "$out" "$runtime"
fi
rm -rf "$work"
echo "$runtime"
