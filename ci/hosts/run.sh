#!/bin/sh
# Runs tests/hosts on every host of hosts.txt in the lab, or on the images that PDAGENT_HOST_IMAGES names, without it.
# usage: ci/hosts/run.sh [PYTEST-ARGUMENT]...
#   PDAGENT_HOST_IMAGES    ROLE=IMAGE..., for example "deb=ubuntu:22.04 deb-sysv=debian:12 rpm=rockylinux:9"
#   PDAGENT_ENGINE         podman (default) or docker, for those images
#   PDAGENT_BUILD_OPTIONS  more options for "podman build", for those images
#   PDAGENT_RUN_OPTIONS    more options for "podman run", for those images
#   VENV                   the virtual environment; default .venv
set -eu
here=$(dirname "$0")
VENV=${VENV:-.venv}

if [ "$(id -u)" != 0 ]; then
    echo "hosts: SKIPPED: NOT ROOT. No package was tested on any host; 'sudo make hosts' does that." >&2
    exit
fi
PATH=$(realpath "$VENV/bin"):$PATH "$here/repos.sh"

# PDAGENT_HOSTS tells the tests, a line a host: name, family, init, image.
PDAGENT_HOSTS=
add() {
    PDAGENT_HOSTS="$PDAGENT_HOSTS$*
"
}

lab=
if [ -n "${PDAGENT_HOST_IMAGES:-}" ]; then
    for pair in $PDAGENT_HOST_IMAGES; do
        role=${pair%%=*} image=${pair#*=}
        case $role in
        deb | rpm) init=systemd ;;
        deb-sysv | rpm-sysv) init=sysv ;;
        *)
            echo "hosts: no role named $role: deb, deb-sysv, rpm and rpm-sysv are known" >&2
            exit 2
            ;;
        esac
        name=$role-$(echo "${image##*/}" | tr -c '[:alnum:].\n' -)
        "$here/prepare.sh" "${PDAGENT_ENGINE:-podman}" "$image" "localhost/pdagent-host:$name" "$init"
        add "$name" "${role%-sysv}" "$init" "localhost/pdagent-host:$name"
    done
else
    lab=$here/lab.sh
    tars=$(awk '!/^#/ { print $1 }' "$here/hosts.txt" | nice xargs -P 2 -n 1 "$here/rootfs.sh")
    # shellcheck disable=SC2086  # one word a file
    "$lab" "$here/import.sh" $tars
    while read -r name family init _; do
        tar=$(echo "$tars" | grep "/$name-[0-9a-f]*\.tar$")
        add "$name" "$family" "$init" "localhost/pdagent-host:$(basename "$tar" .tar)"
    done <<END
$(grep -v '^#' "$here/hosts.txt")
END
fi
export PDAGENT_HOSTS
# shellcheck disable=SC2086  # no lab, no word
exec $lab "$VENV/bin/python" -m pytest tests/hosts --numprocesses 2 "$@"
