#!/bin/sh
# Imports root file systems into the image store that labs read, unless it has them, as pdagent-host:NAME. Run in a lab.
# usage: ci/hosts/import.sh ROOTFS.tar...
set -eu
store=$(sed -n 's/^additionalimagestores = \["\(.*\)"\]$/\1/p' "$CONTAINERS_STORAGE_CONF")
CONTAINERS_STORAGE_CONF=$PDAGENT_LAB/images.conf
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
runroot = "/run/containers/images"
graphroot = "$store"
END

exec 9>"$store/pdagent.lock"
flock 9
for tar; do
    name=$(basename "$tar" .tar)
    image=localhost/pdagent-host:$name
    podman image exists "$image" && continue
    podman images --format '{{.Repository}}:{{.Tag}}' | grep -x "localhost/pdagent-host:${name%-*}-.\{12\}" |
        xargs -r podman rmi --force >/dev/null
    podman import --quiet --change 'CMD ["/sbin/init"]' --change 'ENV container=podman' \
        --change 'STOPSIGNAL SIGRTMIN+3' "$tar" "$image" >/dev/null
done
