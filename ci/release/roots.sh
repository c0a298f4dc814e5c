#!/bin/sh
# Makes the packages of the last commit in the root file systems of two releases of Debian, and compares them: nothing that a building
# machine has installed may show. The runtime comes from the cache. usage: roots.sh (as root)
#   PDAGENT_DEBIAN_MIRROR  where the root file systems come from; default this machine's mirror
set -eu
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2016  # fields of apt-get's own
mirror=${PDAGENT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')}
commit=$(git rev-parse HEAD)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
for arch in amd64 arm64; do ARCH=$arch ci/runtime/build.sh >/dev/null; done
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
chmod 755 "$scratch"

# usage: make_in SUITE: the packages, in $scratch/SUITE
make_in() {
    root=$scratch/root-$1
    # A mirror may be a frozen one, whose dates have passed.
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt=force-unsafe-io \
        --include=python3-venv,binutils,binutils-aarch64-linux-gnu,git,xz-utils,ca-certificates "$1" "$root" "$mirror"
    git clone --quiet --no-hardlinks --no-checkout . "$root/src"
    git -C "$root/src" checkout --quiet --detach "$commit"
    # What it takes to reach PyPI as this machine does.
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cp -L "$file" "$root$file"
    done
    mkdir -p "$root$cache"
    # shellcheck disable=SC2016  # its own arguments
    unshare --mount sh -euc '
        mount --bind "$2" "$1$2"
        mount --bind -o ro /dev "$1/dev"
        mount -t proc proc "$1/proc"
        exec chroot "$1" /src/ci/release/in-root.sh' sh "$root" "$cache"
    mv "$root/src/out" "$scratch/$1"
    rm -rf --one-file-system "$root"
}
for suite in bookworm trixie; do
    echo "roots: $suite" >&2
    make_in "$suite"
done
cd "$scratch"
(cd bookworm && sha256sum ./*) >sums
if (cd trixie && sha256sum --check --quiet ../sums); then
    echo "roots: $(wc -l <sums) files are the same from Debian 12 and Debian 13"
    exit
fi
diffoscope --max-text-report-size=100000 --exclude-command='^(objdump|readelf|strings|nm)' --timeout=300 bookworm trixie
