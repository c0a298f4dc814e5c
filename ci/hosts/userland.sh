#!/bin/sh
# Runs inside a new Debian root and makes a test host of it.
# usage: userland.sh FAMILY INIT
set -eu
family=$1 init=$2

# The only repositories that a test host knows are those that a test gives it.
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/99mmdebstrap

case $init in
systemd)
    systemd-machine-id-setup >/dev/null 2>&1 # else every boot would be a first boot, and apply all presets
    systemctl mask --quiet getty@.service console-getty.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer
    ;;
sysv)
    sed -i '/getty/d' /etc/inittab # no terminal to open
    ;;
esac

[ "$family" = rpm ] || exit 0

# dnf and rpm in a Debian user land. Debian's rpm would keep its database in $HOME.
mkdir -p /etc/rpm /etc/yum.repos.d /usr/lib/systemd/system-preset
echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros
rpm --initdb
if [ ! -e /usr/bin/dnf ]; then
    ln -s dnf5 /usr/bin/dnf
    # Debian's dnf5 fails after each transaction without createrepo_c, which it does not bring; elsewhere this plugin is not installed
    rm -f /etc/dnf/libdnf5-plugins/local.conf
fi
ln -sf dnf /usr/bin/yum

# As on Red Hat's systems: nothing is enabled by being installed, and a repository that fails, fails.
echo 'disable *' >/usr/lib/systemd/system-preset/99-default-disable.preset
cat >/etc/dnf/dnf.conf <<END
[main]
gpgcheck=1
installonly_limit=3
clean_requirements_on_remove=True
best=True
skip_if_unavailable=False
END
# shellcheck source=/dev/null
. /etc/os-release
rm /etc/os-release
cat >/etc/os-release <<END
ID=pdagent-host
ID_LIKE="rhel centos fedora"
VERSION_ID=9
PRETTY_NAME="dnf/rpm on a $PRETTY_NAME user land"
END

# What the packages of a real system would provide, in one package that holds nothing.
work=$(mktemp -d)
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }; }
cat >"$work/base.spec" <<END
Name: base-system
Version: 9
Release: 1
Summary: Stands for the packages of the base system
License: BSD-3-Clause
BuildArch: noarch
Provides: /bin/sh, bash, ca-certificates, chkconfig, coreutils, findutils, glibc, grep, initscripts
Provides: procps-ng, sed, shadow-utils, sudo, system-release, system-release(releasever) = 9
Provides: /usr/sbin/useradd, /usr/sbin/groupadd, /usr/bin/getent
END
[ "$init" != systemd ] || echo 'Provides: systemd' >>"$work/base.spec"
printf '%%description\nStands for the packages of the base system.\n%%files\n' >>"$work/base.spec"
quietly rpmbuild -bb --define "_topdir $work" "$work/base.spec"
quietly rpm -i --nodeps "$work"/RPMS/noarch/base-system-9-1.noarch.rpm
rm -rf "$work"

# rpm 6 installs nothing that is not signed by a key that it knows. Debian's is built to be as lenient as rpm was before.
case $(rpm --version) in
*' version '[1-5].*) ;;
*) echo '%_pkgverify_level all' >>/etc/rpm/macros ;;
esac

# dpkg goes, so that nobody, maintainer scripts and testinfra included, takes this for a deb host.
rm -f /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg*
