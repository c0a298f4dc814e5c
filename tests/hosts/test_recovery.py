"""Whatever ends the daemon, it comes back."""

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.service import Systemd
from tests.support.events_api import EventsApi

# another process than that
BACK = """
    pid=$(systemctl show --property=MainPID pdagent | cut -d= -f2)
    [ $pid != 0 ] && [ $pid != {} ]
    """


@pytest.mark.only("systemd")
def test_killed(host: Host, api: EventsApi) -> None:
    """`kill -9` costs no event: systemd starts it again, and it goes on with the queue."""
    api.stop()
    host.pd_send("before.kill")
    pid = host.service.pid
    host.sh(f"kill -9 {pid}")
    api.start()
    host.until(BACK.format(pid))
    api.wait_accepted(1)
    assert api.incident(KEY, "before.kill").events == 1


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_hangs(host: Host) -> None:
    """A daemon that no longer says that it lives is ended, and started again."""
    assert isinstance(host.service, Systemd)
    shipped = host.sh("systemctl show --property=WatchdogUSec pdagent")
    assert shipped not in ("WatchdogUSec=0", "WatchdogUSec=infinity")

    host.service.override("WatchdogSec=2", "RestartSec=0")
    pid = host.service.pid
    host.sh(f"kill -STOP {pid}")
    host.until(BACK.format(pid))
    assert "watchdog" in host.sh("journalctl --no-pager --unit=pdagent").lower()


@pytest.mark.latest
@pytest.mark.only("sysv")
def test_killed_under_sysv(host: Host, api: EventsApi) -> None:
    """Nobody starts it again there, but the script says so, and its pid file is no obstacle. After
    a stop it counts as stopped, and what restarts only a running service leaves it so."""
    api.stop()
    host.pd_send("before.kill")
    host.sh(f"kill -9 {host.service.pid}")
    host.until("! pgrep -x pdagentd >/dev/null")
    assert host.run("service pdagent status").rc == 1
    host.service.stop()
    for command in ("condrestart", "try-restart"):
        assert host.run(f"service pdagent {command}").rc == 0
        assert host.run("service pdagent status").rc == 3
    api.start()
    host.service.start()
    api.wait_accepted(1)
    assert host.service.is_running
