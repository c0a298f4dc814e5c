"""Faults that are real: file systems that are full or read-only, system calls that fail."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent
from tests.support.users import ROOT, SENDER

Mount = Callable[..., None]
Strace = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(autouse=True)
def _loudly(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("needs_root") and not ROOT:
        pytest.skip("needs root: several users, mounts. Run `sudo make test` to have these too")


@pytest.fixture
def mount(agent: Agent) -> Iterator[Mount]:
    """Mounts with mount(8)'s arguments, the place last; undone when the test is over."""
    with contextlib.ExitStack() as mounted:

        def mount(*arguments: str | Path) -> None:
            subprocess.run(["mount", *arguments], check=True)
            if "remount" not in str(arguments[1]):
                mounted.callback(subprocess.run, ["umount", "-l", arguments[-1]], check=True)

        yield mount
        if agent.daemon is not None:
            agent.daemon.kill()
            agent.daemon.wait()
            agent.daemon = None


@pytest.fixture
def full_disk(agent: Agent, mount: Mount) -> Callable[..., None]:
    """A disk of 256 kB for the agent's data. What it gives fills it up but for so many bytes."""
    mount("-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", agent.data_dir)
    agent.own(agent.data_dir)
    agent.create_spool()
    ballast = agent.data_dir / "ballast"

    def fill(left: int = 0) -> None:
        with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(ballast, ballast.stat().st_size - left)

    return fill


@pytest.fixture
def strace(agent: Agent) -> Strace:
    """Runs `pd-send` under strace, as a sender, with strace's options first; the trace is in
    agent.root/trace/trace."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: see ci/packages.txt")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace may not trace here")
    place = agent.root / "trace"
    place.mkdir()
    place.chmod(0o777)

    def run(options: list[str], *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = ["strace", "-f", "-qq", "-s", "200", "-o", str(place / "trace"), *options]
        command += [*agent.command("pd-send"), "--config", str(agent.conf), *arguments]
        return subprocess.run(
            command, env=agent.environment, capture_output=True, cwd="/", **SENDER.popen()
        )

    return run
