#!/bin/sh
# Makes the root file system of a host in hosts.txt, unless the cache has it, and prints where it lies.
# usage: ci/hosts/rootfs.sh NAME
#
# Packages come from the Debian mirror of this machine's apt sources, or from PDAGENT_DEBIAN_MIRROR.
set -eu
cd "$(dirname "$0")"
name=$1

recipe=$(grep "^$name " hosts.txt) || {
    echo "rootfs: hosts.txt has no host named $name" >&2
    exit 2
}
# shellcheck disable=SC2086  # the columns of hosts.txt
set -- $recipe
family=$2 init=$3 suite=$4 more=${5:-}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent/hosts
hash=$(cat rootfs.sh userland.sh | { cat && echo "$recipe"; } | sha256sum | cut -c1-12)
tar=$cache/$name-$hash.tar
if [ -e "$tar" ]; then
    touch "$tar"
    echo "$tar"
    exit
fi

# shellcheck disable=SC2016  # fields of apt-get's own
mirror=${PDAGENT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')}
[ -n "$mirror" ] || {
    echo "rootfs: no Debian mirror in the apt sources; name one in PDAGENT_DEBIAN_MIRROR" >&2
    exit 1
}

packages=ca-certificates,curl,gnupg,procps,wget
case $init in
systemd) packages=$packages,systemd-sysv,dbus ;;
sysv) packages=$packages,sysvinit-core,sysvinit-utils,initscripts,insserv ;;
esac
case $family:$suite in
deb:*) ;;
rpm:bullseye | rpm:bookworm | rpm:trixie) packages=$packages,dnf,rpm ;;
rpm:*) packages=$packages,dnf5,rpm ;;
esac
[ -z "$more" ] || packages=$packages,$more

echo "rootfs: making $name from $suite" >&2
mkdir -p "$cache"
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
chmod 755 "$TMPDIR"
# A mirror may be a frozen one, whose dates have passed.
mmdebstrap --quiet --aptopt='Acquire::Check-Valid-Until "false"' \
    --variant=minbase --include="$packages" --dpkgopt=force-unsafe-io \
    --customize-hook="chroot \"\$1\" sh -s $family $init <userland.sh" \
    "$suite" "$TMPDIR/root.tar" "$mirror" >&2
# Another checkout may have another recipe. What none has used for a week goes.
find "$cache" -maxdepth 1 -name "$name-????????????.tar" -mtime +7 -delete
mv "$TMPDIR/root.tar" "$tar"
echo "$tar"
