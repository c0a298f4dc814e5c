#!/bin/sh
# The root file system of an arm64 Debian, from the cache or made: prints the emulator that runs its programs, and the archive.
# usage: ci/arm64-root.sh
# Minutes when made, since the emulator runs each package's scripts. The mirror is that of this machine's apt sources.
set -eu
cd "$(dirname "$0")/.."
qemu=$(ci/arm64.sh)/qemu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent/hosts
tar=$cache/arm64-bookworm-2.tar
if [ ! -e "$tar" ]; then
    # shellcheck disable=SC2016  # fields of apt-get's own
    mirror=${PDAGENT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')}
    mkdir -p "$cache"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # In a user's namespace there is no /sys to be mounted. The emulator is registered by its file, and not looked for inside.
    TMPDIR=$scratch ci/binfmt.sh "$qemu" mmdebstrap --quiet --architectures=arm64 --variant=minbase \
        --include=ca-certificates,procps,systemd-sysv,dbus \
        --skip=check/qemu,chroot/mount/sys --dpkgopt=force-unsafe-io --aptopt='Acquire::Check-Valid-Until "false"' \
        bookworm "$scratch/root.tar" "$mirror" </dev/null >&2
    mv "$scratch/root.tar" "$tar"
fi
echo "$qemu"
echo "$tar"
