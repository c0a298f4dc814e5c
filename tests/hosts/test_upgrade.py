"""A new version over an old one: new code runs, and all that was there is kept."""

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi


def upgrade(host: Host) -> None:
    host.packages.move_repository("current", "next")
    host.packages.upgrade()
    assert host.packages.version("pdagent") == "3.0.1"
    assert host.packages.check() == ""


def test_upgrade(host: Host, api: EventsApi) -> None:
    """An edited configuration and a pending queue survive; the daemon is the new one."""
    host.configure(backoff_interval_secs="2")
    host.service.restart()
    api.stop()
    host.pd_send("before.upgrade")
    before = host.sh("cat /etc/pdagent.conf"), host.queue(), host.service.pid

    upgrade(host)

    assert host.service.is_running
    conf, queue, pid = host.sh("cat /etc/pdagent.conf"), host.queue(), host.service.pid
    assert (conf, queue) == before[:2]
    assert pid != before[2]
    assert "deleted" not in host.sh(f"readlink /proc/{pid}/exe")
    api.start()
    api.wait_accepted(1)
    assert api.incident(KEY, "before.upgrade").events == 1


def test_disabled_stays_so(host: Host) -> None:
    """Neither started nor enabled by an upgrade."""
    host.service.stop()
    host.service.disable()
    upgrade(host)
    assert not host.service.is_running
    assert not host.service.is_enabled


def test_stopped_stays_so(host: Host) -> None:
    """A service that is stopped for now is still enabled for the next boot."""
    host.service.stop()
    upgrade(host)
    assert not host.service.is_running
    assert host.service.is_enabled


@pytest.mark.only("systemd")
def test_masked_stays_so(host: Host) -> None:
    """A mask goes where the guide has people copy the unit to, so it is one or the other."""
    host.sh("rm -f /etc/systemd/system/pdagent.service; systemctl mask --now pdagent")
    upgrade(host)
    assert not host.service.is_running
    assert host.sh("systemctl is-enabled pdagent || :") == "masked"


def test_broken_configuration(host: Host) -> None:
    """A service that can't start fails no transaction; the log says why, and where."""
    host.configure(send_interval_secs="soon")
    upgrade(host)
    assert not host.service.is_running
    assert "send_interval_secs" in host.log()

    host.configure(send_interval_secs="10")
    host.service.restart()
    assert host.service.is_running
