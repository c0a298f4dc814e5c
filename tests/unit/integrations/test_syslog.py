"""What nobody would read on stderr goes to the system's log."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.integrations import syslog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[socket.socket]:
    """A log, as syslogd listens for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "log"))
        listening.settimeout(10)
        yield listening


def test_one_line(log: socket.socket) -> None:
    """With priority, program and process, whatever the text holds; never longer than all take."""
    syslog.error("pd-nagios", "disk\nfull \udcff", log.getsockname())
    assert log.recv(2000) == f"<11>pd-nagios[{os.getpid()}]: disk?full ?".encode()
    syslog.error("pd-nagios", "x" * 5000, log.getsockname())
    assert len(log.recv(9000)) == 1024


def test_a_log_that_does_not_keep_up_is_not_waited_for(log: socket.socket) -> None:
    """More than any queue between them holds, and nobody reads."""
    for _ in range(2000):
        syslog.error("pd-nagios", "x" * 1000, log.getsockname())
    assert log.recv(2000).startswith(b"<11>pd-nagios")


def test_no_log_is_no_error(tmp_path: Path) -> None:
    """A container has none."""
    syslog.error("pd-nagios", "x", str(tmp_path / "none"))
