#!/bin/sh
# A Debian kernel for machines that qemu boots, from the cache or made: prints a directory with kernel and initrd.
# usage: ci/kernel.sh ARCHITECTURE SUITE
# The initrd loads the modules for qemu's devices, takes the address that qemu's network has for a guest, and goes to /dev/vda. So
# a root file system needs neither kernel nor modules, nor anything for the network. There is no route to elsewhere.
# The mirror is that of this machine's apt sources, or PDAGENT_DEBIAN_MIRROR. Everything is unpacked, nothing installed.
set -eu
arch=$1 suite=$2
modules='virtio_pci virtio_blk virtio_net virtio_console virtio_rng'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
target=$cache/kernel-$arch-$suite-2
if [ ! -d "$target" ]; then
    # shellcheck disable=SC2016  # fields of apt-get's own
    mirror=${PDAGENT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')}
    mkdir -p "$cache"
    scratch=$(mktemp -d "$cache/kernel.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    mkdir -p lists/partial archives/partial made tree root/bin root/dev root/new
    : >status
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources.list
    cat >apt.conf <<END
Dir::Etc::SourceList "$scratch/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$scratch/lists";
Dir::State::Status "$scratch/status";
Dir::Cache "$scratch";
APT::Architecture "$arch";
APT::Architectures "$arch";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
END
    APT_CONFIG=$scratch/apt.conf
    export APT_CONFIG
    apt-get update -qq >&2
    image=$(apt-cache show "linux-image-cloud-$arch" | sed -n 's/^Depends: \([^ ]*\).*/\1/p' | head -n 1)
    apt-get download -qq "$image" busybox-static >&2
    for deb in *.deb; do dpkg-deb -x "$deb" tree; done

    version=${image#linux-image-}
    # before and since the merge of / and /usr
    [ -d tree/lib ] || ln -s usr/lib tree/lib
    [ -d tree/bin ] || ln -s usr/bin tree/bin
    depmod -b tree "$version" 2>/dev/null
    for module in $modules; do
        modprobe -d tree -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >order
    while read -r file; do
        name=${file##*/}
        case $name in
            *.xz) xz -dc "$file" >"root/${name%.xz}" ;;
            *) cp "$file" root/ ;;
        esac
    done <order
    cp tree/bin/busybox root/bin/
    {
        echo '#!/bin/busybox sh'
        echo '/bin/busybox mount -t devtmpfs devtmpfs /dev'
        sed 's,.*/,/bin/busybox insmod /,; s,\.xz$,,' order
        echo '/bin/busybox ifconfig lo 127.0.0.1 up'
        echo '/bin/busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up'
        echo 'until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done'
        echo '/bin/busybox mount -t ext4 /dev/vda /new'
        echo '/bin/busybox mount --move /dev /new/dev'
        echo 'exec /bin/busybox switch_root /new /sbin/init'
    } >root/init
    chmod 755 root/init
    (cd root && find . | cpio --quiet -o -H newc | gzip -1) >made/initrd
    cp tree/boot/vmlinuz-* made/kernel
    mv -T made "$target" 2>/dev/null || [ -d "$target" ] # another process was faster, and its result is as good
fi
echo "$target"
