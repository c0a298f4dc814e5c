"""A system log of a test's own: what a command says there."""

import socket
import subprocess
from collections.abc import Sequence

import pytest

from tests.support.agent import Agent

# A /dev of the command's own, with a log in it.
PREPARE = (
    "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && "
    'mknod -m 666 /dev/urandom c 1 9 && ln -s "$0" /dev/log && exec "$@"'
)
Run = tuple[subprocess.CompletedProcess[bytes], bytes]


def run(agent: Agent, name: str, arguments: Sequence[str], environment: dict[str, str]) -> Run:
    """Runs a command, as root. Gives what became of it, and its line in the log."""
    log = agent.root / "log.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(log))
        listening.settimeout(10)
        command = [*agent.command(name), "--config", str(agent.conf), *arguments]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", PREPARE, str(log), *command],
            capture_output=True,
            env={**agent.environment, **environment},
        )
        if b"unshare" in done.stderr or b"mount" in done.stderr:
            pytest.skip("a /dev of one's own is not permitted")
        try:
            return done, listening.recv(2000)
        finally:
            log.unlink()
