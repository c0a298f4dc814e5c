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
    image=localhost/pdagent-host:$(basename "$tar" .tar)
    podman image exists "$image" && continue
    podman import --quiet --change 'CMD ["/sbin/init"]' --change 'ENV container=podman' \
        --change 'STOPSIGNAL SIGRTMIN+3' "$tar" "$image" >/dev/null
done

# An image goes with the file that it was made of.
podman images --format '{{.Repository}}:{{.Tag}}' | sed -n 's,^localhost/pdagent-host:,,p' | while read -r name; do
    [ -e "$(dirname "$1")/$name.tar" ] || podman rmi --force "localhost/pdagent-host:$name" >/dev/null
done
