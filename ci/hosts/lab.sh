#!/bin/sh
# Runs a command in the lab: throw-away namespaces in which podman can run hosts with a real init, whatever this
# machine's cgroups and limits. They leave its firewall, links and /run alone, and take every container down with them.
# usage: ci/hosts/lab.sh COMMAND [ARGUMENT]...     (as root)
set -eu

if [ "${PDAGENT_LAB:-}" = "" ]; then
    here=$(realpath "$0")
    PDAGENT_LAB=$(mktemp -d)
    export PDAGENT_LAB
    # shellcheck disable=SC2317  # the trap calls it
    leave() {
        kill -KILL "$lab" 2>/dev/null || true
        rm -rf "$PDAGENT_LAB"
        # Containers' cgroups outlive their namespaces. Those of another lab are not empty, so they stay.
        find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' -exec rmdir {} + 2>/dev/null || true
    }
    trap leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # Neither unshare nor the first process in there ends by such a signal. pytest's workers would, each as if its test had crashed it.
    unshare --mount --net --pid --ipc --uts --fork --kill-child --mount-proc --propagation private "$here" "$@" &
    lab=$!
    wait "$lab"
    exit
fi

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
umount -R /sys/fs/cgroup
mount -t cgroup2 -o rw,nosuid,nodev,noexec none /sys/fs/cgroup # no cgroup namespace: podman would warn on every call
ip link set lo up

# The images are kept between labs and only read in them, so that labs can run side by side.
images=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent/hosts/images
mkdir -p "$images"
export CONTAINERS_STORAGE_CONF="$PDAGENT_LAB/storage.conf" CONTAINERS_CONF="$PDAGENT_LAB/containers.conf"
cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "$PDAGENT_LAB/storage"
[storage.options]
additionalimagestores = ["$images"]
END
cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=8192:8192"]
pids_limit = 0
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "$PDAGENT_LAB/networks"
END
mkdir "$PDAGENT_LAB/networks"
exec "$@"
