"""What systemd is told: sd_notify(3), over a real socket."""

import os
import re
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.support.agent import PATIENCE_SECONDS, Agent
from tests.support.events import KEY
from tests.support.events_api import EventsApi


@pytest.fixture
def systemd(agent: Agent) -> Iterator[socket.socket]:
    """Listens where the agent's daemon will notify."""
    path = str(agent.root / "notify")
    agent.environment["NOTIFY_SOCKET"] = path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.settimeout(PATIENCE_SECONDS)
        yield listener


def heard(systemd: socket.socket, status: bool = False) -> bytes:
    """The next that is no status; or, asked for, that is one."""
    while (said := systemd.recv(4096)).startswith(b"STATUS=") is not status:
        pass
    return said


def test_ready_reloading_stopping(systemd: socket.socket, agent: Agent) -> None:
    """READY once it serves, RELOADING with its time and READY around a reload, STOPPING at the
    end."""
    agent.start()
    assert agent.daemon is not None
    assert heard(systemd) == b"READY=1"
    agent.daemon.send_signal(signal.SIGHUP)
    reloading, clock = heard(systemd).split(b"\n")
    assert reloading == b"RELOADING=1"
    assert clock.startswith(b"MONOTONIC_USEC=")
    assert clock.partition(b"=")[2].isdigit()
    assert heard(systemd) == b"READY=1"
    assert agent.stop() == 0
    assert heard(systemd) == b"STOPPING=1"


def test_a_failed_reload_ends_too(systemd: socket.socket, agent: Agent) -> None:
    """A bad configuration ends the reload all the same, or systemd would wait for ever."""
    agent.start()
    assert agent.daemon is not None
    assert heard(systemd) == b"READY=1"
    agent.conf.write_text("nonsense\n")
    agent.daemon.send_signal(signal.SIGHUP)
    assert heard(systemd).startswith(b"RELOADING=1")
    assert heard(systemd) == b"READY=1"


def test_watchdog(systemd: socket.socket, agent: Agent) -> None:
    """With WATCHDOG_USEC it reports twice in that time, however long send_interval_secs is."""
    agent.configure(events_url="http://127.0.0.1:1", send_interval_secs=3600)
    agent.environment["WATCHDOG_USEC"] = "400000"
    agent.start()
    assert sorted(heard(systemd) for _ in range(4)) == [b"READY=1"] + [b"WATCHDOG=1"] * 3


def test_no_watchdog_unless_asked(systemd: socket.socket, agent: Agent, api: EventsApi) -> None:
    """Without WATCHDOG_USEC, or with another process's, there are no watchdog messages."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.environment.update(WATCHDOG_USEC="400000", WATCHDOG_PID="1")
    agent.start()
    assert heard(systemd) == b"READY=1"
    assert agent.stop() == 0
    assert heard(systemd) == b"STOPPING=1"


def test_status(systemd: socket.socket, agent: Agent, api: EventsApi) -> None:
    """`systemctl status` says what holds events, since when and how many, and when that is over."""
    agent.configure(events_url=api.url, backoff_interval_secs=1)
    api.stop()
    agent.start()
    assert heard(systemd, status=True) == b"STATUS=0 pending; nothing delivered yet"
    agent.send(KEY, "trigger", "-d", "x")
    at = rb"(\d{4}-\d\d-\d\d )?\d\d:\d\d"  # with its date once midnight has passed
    wanted = re.compile(
        rb"STATUS=cannot reach PagerDuty since %b: .*Connection refused; 1 pending" % at
    )
    while not wanted.fullmatch(heard(systemd, status=True)):
        pass
    api.start()
    over = re.compile(rb"STATUS=0 pending; last delivery %b" % at)
    while not over.fullmatch(heard(systemd, status=True)):
        pass
