#!/bin/sh
# Runs a command in namespaces of its own where programs for arm64 run, by an emulator. usage: ci/binfmt.sh QEMU COMMAND…
# Since Linux 6.7 such a registration belongs to the user namespace, so the machine is not changed. All ids are as outside.
set -eu
qemu=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkfifo "$scratch/mapped"
exec 3<&0 # a command in the background would get another standard input
# shellcheck disable=SC2016  # its own arguments
unshare --user --mount --propagation private sh -c '
    read -r _ <"$1/mapped"
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    printf "%s" ":qemu-aarch64:M::$magic:$mask:$2:OCF" >/proc/sys/fs/binfmt_misc/register
    shift 2
    exec unshare --pid --fork --kill-child --mount-proc "$@"' sh "$scratch" "$qemu" "$@" <&3 &
pid=$!
here=$(readlink /proc/self/ns/user)
while [ "$(readlink "/proc/$pid/ns/user")" = "$here" ]; do sleep 0.05; done
echo '0 0 4294967295' >"/proc/$pid/uid_map"
echo '0 0 4294967295' >"/proc/$pid/gid_map"
echo >"$scratch/mapped"
wait "$pid"
