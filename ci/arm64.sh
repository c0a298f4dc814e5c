#!/bin/sh
# An arm64 host, for the tests: prints a directory with qemu (an emulator that runs one program) and root/ (the real glibc 2.17).
# usage: ci/arm64.sh
# The emulator comes from this machine's Debian mirror, and is unpacked, not installed. The libc is part of a cross compiler on npm,
# which is taken by its hash and not used otherwise. Nothing of the two goes into what we ship.
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
host=$cache/arm64-host-1
if [ ! -d "$host" ]; then
    command -v npm >/dev/null || {
        echo 'arm64: npm is not installed: there is no arm64 libc to be had' >&2
        exit 69
    }
    mkdir -p "$cache"
    scratch=$(mktemp -d "$cache/arm64.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    mkdir root host
    apt-get download -qq -o APT::Sandbox::User=root qemu-user-static >&2
    dpkg-deb --fsys-tarfile qemu-user-static_*.deb | tar -x --strip-components=3 ./usr/bin/qemu-aarch64-static
    mv qemu-aarch64-static host/qemu
    npm pack --silent @napi-rs/cross-toolchain-x64-target-aarch64@1.0.3 >/dev/null
    echo '8ec59a37c2a8cac720d0f92e9c19b2940a427ef1f32ddde43e800a8043301e51  napi-rs-cross-toolchain-x64-target-aarch64-1.0.3.tgz' |
        sha256sum --check --quiet >&2
    tar -xOf napi-rs-*.tgz package/aarch64-unknown-linux-gnu.tar.xz |
        tar -xJ -C root --strip-components=3 --wildcards './aarch64-unknown-linux-gnu/sysroot/lib/*.so*'
    chmod -R go+rX root
    mv root host/root
    chmod 755 host
    mv -T host "$host" 2>/dev/null || [ -d "$host" ] # another process was faster, and its result is as good
fi
echo "$host"
