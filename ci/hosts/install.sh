#!/bin/sh
# Runs inside an image that prepare.sh builds.
# usage: install.sh INIT     (systemd or sysv)
set -eu
init=$1

has() { command -v "$1" >/dev/null 2>&1; }

if has apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    rm -f /usr/sbin/policy-rc.d # images have it and hosts do not: there a service starts when its package is installed
    apt-get update -qq
    case $init in
        systemd) packages='systemd systemd-sysv dbus' ;;
        sysv) packages='sysvinit-core sysvinit-utils initscripts' ;;
    esac
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $packages ca-certificates curl gnupg procps wget >/dev/null
    [ ! -e /etc/inittab ] || sed -i '/getty/d' /etc/inittab # a container has no terminal
    rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
else
    yum=$(command -v dnf || command -v yum)
    wanted=
    [ -x /usr/lib/systemd/systemd ] || wanted=systemd
    has ps || wanted="$wanted procps-ng"
    has curl || wanted="$wanted curl"
    # shellcheck disable=SC2086
    [ -z "$wanted" ] || "$yum" install -y -q $wanted
    rm -f /etc/yum.repos.d/*
fi

[ "$init" != systemd ] || ! has systemd-machine-id-setup || systemd-machine-id-setup >/dev/null 2>&1
