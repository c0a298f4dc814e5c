"""systemd hears how the daemon is doing; without systemd, nobody is missed."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.daemon.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def test_states_arrive_as_systemd_wants_them(systemd: socket.socket) -> None:
    """One datagram a state, RELOADING=1 with its time."""
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "60000000"})
    notifier.ready()
    notifier.reloading(1_234_567_890)
    notifier.alive()
    notifier.status("12 events pending")
    notifier.stopping()
    assert [systemd.recv(4096) for _ in range(5)] == [
        b"READY=1",
        b"RELOADING=1\nMONOTONIC_USEC=1234567",
        b"WATCHDOG=1",
        b"STATUS=12 events pending",
        b"STOPPING=1",
    ]


def test_an_abstract_address(tmp_path: Path) -> None:
    """@name stands for a socket that is no file."""
    name = f"pdagent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(10)
        Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert sock.recv(4096) == b"READY=1"


@pytest.mark.parametrize(
    "address", [None, "", "/nowhere/at/all", "x" * 300, "@nobody", "vsock:2:9"]
)
def test_nobody_to_tell(address: str | None) -> None:
    """No systemd, or one that is gone: no error."""
    notifier = Notifier({} if address is None else {"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.alive()
    notifier.stopping()


def test_a_full_socket_does_not_hold_up_the_daemon(systemd: socket.socket) -> None:
    """A systemd that does not listen costs a notice, not the daemon."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            [sock.sendto(b"x", systemd.getsockname()) for _ in range(100_000)]
    Notifier({"NOTIFY_SOCKET": systemd.getsockname()}).ready()
    assert systemd.recv(4096) == b"x"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "\u00b2"}, None),
    ],
)
def test_the_watchdogs_interval(environment: dict[str, str], seconds: float | None) -> None:
    """Only if it is meant for this process, and makes sense."""
    assert Notifier(environment).watchdog_seconds == seconds


def test_no_watchdog_is_not_fed(systemd: socket.socket) -> None:
    """WATCHDOG=1 goes out only where systemd waits for it."""
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    notifier.alive()
    notifier.ready()
    assert systemd.recv(4096) == b"READY=1"
