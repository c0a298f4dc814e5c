#!/bin/sh
# Runs tests/hosts and tests/peers on the hosts of hosts.txt in the lab, or tests/hosts on the images that PDAGENT_HOST_IMAGES
# names, without it.
# usage: ci/hosts/run.sh [PYTEST-ARGUMENT]...
#   HOSTS                  names from hosts.txt, for tests/hosts; default all that are no peers
#   PEERS                  names of peers from hosts.txt, for tests/peers; default the quickest, nagios
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

# PDAGENT_HOSTS and PDAGENT_PEERS tell the tests, a line a host: name, family, init, image.
PDAGENT_HOSTS=''
PDAGENT_PEERS=''

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
        PDAGENT_HOSTS="$PDAGENT_HOSTS$name ${role%-sysv} $init localhost/pdagent-host:$name
"
    done
else
    lab=$here/lab.sh
    HOSTS=${HOSTS-$(awk '/^(deb|rpm)-/ { print $1 }' "$here/hosts.txt")}
    PEERS=${PEERS-nagios}
    tars=$(echo "$HOSTS $PEERS" | nice xargs -r -P 2 -n 1 "$here/rootfs.sh")
    # shellcheck disable=SC2086  # one word a file
    "$lab" "$here/import.sh" $tars
    # usage: ready NAME...
    ready() {
        for name; do
            tar=$(echo "$tars" | grep "/$name-[0-9a-f]*\.tar$")
            awk -v name="$name" -v image="localhost/pdagent-host:$(basename "$tar" .tar)" \
                '$1 == name { print name, $2, $3, image }' "$here/hosts.txt"
        done
    }
    # shellcheck disable=SC2086  # one word a name
    PDAGENT_HOSTS=$(ready $HOSTS) PDAGENT_PEERS=$(ready $PEERS)
fi
export PDAGENT_HOSTS PDAGENT_PEERS
# shellcheck disable=SC2086  # no lab, no word
exec $lab "$VENV/bin/python" -m pytest tests/hosts tests/peers --numprocesses 2 "$@"
