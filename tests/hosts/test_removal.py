"""Removed, installed again, purged."""

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.packages import Apt
from tests.support.events_api import EventsApi

PROGRAMS = "/usr/bin/pd-send /usr/bin/pd-queue /usr/sbin/pdagentd /usr/share/pdagent"
DATA = "/etc/pdagent.conf /var/lib/pdagent /var/log/pdagent"
LINKS = "/var/lib/pdagent /var/lib/pdagent/outqueue /var/log/pdagent"
DISKS = ["/srv/lib", "/srv/queue", "/srv/log"]


def left(host: Host, paths: str) -> str:
    return host.sh(f"ls -d {paths} 2>/dev/null || :")


def move_to_other_disks(host: Host) -> None:
    """As an administrator does it whose /var is small."""
    host.service.stop()
    host.sh("""
        mv /var/lib/pdagent/outqueue /srv/queue; ln -s /srv/queue /var/lib/pdagent/outqueue
        mv /var/lib/pdagent /srv/lib; ln -s /srv/lib /var/lib/pdagent
        mv /var/log/pdagent /srv/log; ln -s /srv/log /var/log/pdagent""")
    host.service.start()


def test_remove_and_reinstall(host: Host, api: EventsApi) -> None:
    """Removal stops the service; the next installation finds configuration and queue."""
    api.stop()
    host.pd_send("before.removal")
    queued = host.queue()

    host.packages.remove()
    assert left(host, PROGRAMS) == ""
    assert host.sh("pgrep -x pdagentd || :") == ""
    assert host.queue() == queued

    host.packages.install()
    if host.spec.family == "rpm":  # an edited file is put aside
        host.sh("mv /etc/pdagent.conf.rpmsave /etc/pdagent.conf")
    host.follow_guide()
    api.start()
    host.service.restart()
    api.wait_accepted(1)
    assert api.incident(KEY, "before.removal").events == 1
    assert host.service.is_enabled


@pytest.mark.latest
def test_links_stay(host: Host, api: EventsApi) -> None:
    """Links to larger disks stay, so that the next installation finds the queue behind them."""
    api.stop()
    move_to_other_disks(host)
    host.pd_send("before.removal")
    queued = host.queue()
    host.packages.remove()
    assert host.sh(f"readlink {LINKS}").split() == DISKS
    host.packages.install()
    assert host.sh(f"readlink {LINKS}").split() == DISKS
    assert host.queue() == queued
    assert left(host, "/var/lib/*.kept /var/lib/pdagent/*.kept /var/log/*.kept") == ""


@pytest.mark.latest
@pytest.mark.only("deb")
def test_aborted_removal(host: Host) -> None:
    """Another package is to take its place, or breaks it, and can't be unpacked: what ran runs
    again, what was stopped is stopped."""
    for relation in ("Conflicts", "Breaks"):
        host.sh(f"""
            mkdir -p /tmp/other/DEBIAN; cd /tmp/other/DEBIAN
            printf '%s\\n' 'Package: other' 'Version: 1' 'Architecture: all' 'Description: other' \\
                'Maintainer: nobody' '{relation}: pdagent' 'Provides: pdagent' \\
                'Replaces: pdagent' >control
            printf '#!/bin/sh\\nexit 1\\n' >preinst; chmod 755 preinst
            dpkg-deb -b /tmp/other /tmp/other.deb >/dev/null""")
        for runs in (True, False):
            (host.service.start if runs else host.service.stop)()
            assert host.run("dpkg --auto-deconfigure --force-depends -i /tmp/other.deb").rc != 0
            assert host.packages.check() == ""
            assert host.service.is_running == runs
            assert host.service.is_enabled
            assert left(host, "/var/lib/pdagent/upgrade") == ""


@pytest.mark.only("deb")
def test_purge(host: Host) -> None:
    """Nothing is left but the user, whose number nobody else shall get."""
    host.pd_send("before.purge")
    assert isinstance(host.packages, Apt)
    said = host.packages.purge()
    assert "warning" not in said
    assert left(host, f"{PROGRAMS} {DATA} /etc/init.d/pdagent {host.packages.environment}") == ""
    assert (
        host.sh("ls /etc/rc?.d /etc/systemd/system/*.wants 2>/dev/null | grep pdagent || :") == ""
    )
    assert host.testinfra.user("pdagent").exists
    assert host.packages.check() == ""


@pytest.mark.latest
@pytest.mark.only("deb")
def test_purge_behind_links(host: Host) -> None:
    """The agent's files go on whichever disk they are; what else is there, stays."""
    move_to_other_disks(host)
    host.pd_send("before.purge")
    host.sh(f"touch {' '.join(f'{disk}/mine' for disk in DISKS)}")
    assert isinstance(host.packages, Apt)
    host.packages.purge()
    assert left(host, DATA) == ""
    assert sorted(host.sh("find /srv -type f").split()) == sorted(f"{disk}/mine" for disk in DISKS)


@pytest.mark.latest
@pytest.mark.only("deb")
@pytest.mark.only("systemd")
def test_purge_of_a_file_system_of_its_own(host: Host) -> None:
    """A mount point can't be removed. It is emptied, and the purge does not fail, though the file
    system is full."""
    host.service.stop()
    host.sh("""
        mount -t tmpfs -o size=1M queue /var/lib/pdagent
        apt-get -q=2 install --reinstall -y pdagent""")
    host.pd_send("before.purge")
    host.sh("cat /dev/zero >/var/lib/pdagent/outqueue/tmp/large 2>/dev/null || :")
    assert isinstance(host.packages, Apt)
    host.packages.purge()
    assert host.sh("find /var/lib/pdagent") == "/var/lib/pdagent"
    assert host.packages.check() == ""


@pytest.mark.only("rpm")
def test_erase(host: Host) -> None:
    """rpm knows no purge: queue and log stay, an edited configuration stays as .rpmsave."""
    host.service.stop()
    host.pd_send("before.erase")
    host.packages.remove()
    assert len(host.queue()) == 1
    assert left(host, "/etc/pdagent.conf*") == "/etc/pdagent.conf.rpmsave"
    assert host.testinfra.user("pdagent").exists
