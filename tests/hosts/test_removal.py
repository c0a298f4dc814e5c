"""Removed, installed again, purged."""

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.packages import Apt
from tests.support.events_api import EventsApi

PROGRAMS = "/usr/bin/pd-send /usr/bin/pd-queue /usr/sbin/pdagentd /usr/share/pdagent"
DATA = "/etc/pdagent.conf /var/lib/pdagent /var/log/pdagent"


def left(host: Host, paths: str) -> str:
    return host.sh(f"ls -d {paths} 2>/dev/null || :")


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
@pytest.mark.only("deb")
@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("relation", ["Conflicts", "Breaks"])
def test_aborted_removal(host: Host, relation: str, runs: bool) -> None:
    """Another package is to take its place, or breaks it, and can't be unpacked: what ran runs
    again, what was stopped is stopped."""
    if not runs:
        host.service.stop()
    host.sh(f"""
        mkdir -p /tmp/other/DEBIAN; cd /tmp/other/DEBIAN
        printf '%s\\n' 'Package: other' 'Version: 1' 'Architecture: all' 'Maintainer: nobody' \\
            'Description: other' '{relation}: pdagent' 'Provides: pdagent' 'Replaces: pdagent' >control
        printf '#!/bin/sh\\nexit 1\\n' >preinst; chmod 755 preinst
        dpkg-deb -b /tmp/other /tmp/other.deb >/dev/null""")
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


@pytest.mark.only("rpm")
def test_erase(host: Host) -> None:
    """rpm knows no purge: queue and log stay, an edited configuration stays as .rpmsave."""
    host.service.stop()
    host.pd_send("before.erase")
    host.packages.remove()
    assert len(host.queue()) == 1
    assert left(host, "/etc/pdagent.conf*") == "/etc/pdagent.conf.rpmsave"
    assert host.testinfra.user("pdagent").exists
