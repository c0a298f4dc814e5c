"""Faults that are real, against the frozen program: file systems that are full or read-only, system
calls that fail; and the table of what they did."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.support import frozen
from tests.support.agent import Agent, directory
from tests.support.events_api import EventsApi
from tests.support.trial import Trial
from tests.support.users import ROOT, SENDER

Mount = Callable[..., None]
Strace = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(autouse=True)
def _loudly(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("needs_root") and not ROOT:
        pytest.skip("needs root: several users, mounts. Run `sudo make test` to have these too")


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    """As everywhere, but the frozen program."""
    if not frozen.PROGRAM.exists():
        pytest.skip("build/freeze/pdagent is not there: run 'make freeze'")
    with directory() as root, Agent(root, api.url, frozen.command()) as agent:
        yield agent
        assert agent.shown_keys({request.key for request in api.requests}) == []


@pytest.fixture
def trial(request: pytest.FixtureRequest, agent: Agent, api: EventsApi) -> Iterator[Trial]:
    """Faults against `agent`; what they did goes into the table's row that the test's marker names:
    `@pytest.mark.fault("pd-send killed")`."""
    marker = request.node.get_closest_marker("fault")
    assert marker is not None, "which row of the table is this?"
    agent.configure(events_url=api.url, send_interval_secs=1)
    trial = Trial(agent, api, request.config.getoption("--long"))
    yield trial
    request.node.user_properties.append(("fault", (marker.args[0], *trial.found.row)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if marker := item.get_closest_marker("fault"):
            item.user_properties.append(("row", marker.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table: what was done to the agent, and what it cost."""
    rows: dict[str, list[int]] = {}
    reports = [report for found in terminalreporter.stats.values() for report in found]
    for report in reports:
        if getattr(report, "when", None) != "teardown":
            continue
        for fault, *numbers in (value for name, value in report.user_properties if name == "fault"):
            rows[fault] = _added([rows.get(fault, [0] * 5), numbers])
    skipped = {
        (dict(report.user_properties)["row"], report.longrepr[2].removeprefix("Skipped: "))
        for report in terminalreporter.stats.get("skipped", [])
        if "row" in dict(report.user_properties)
    }
    if not rows and not skipped:
        return
    write = terminalreporter.write_line
    terminalreporter.section("faults")
    heads = ("injections", "accepted", "lost", "reordered", "hands needed")
    write("".join([f"{'fault':<48}", *(f"{head:>13}" for head in heads)]))
    for fault, numbers in [*sorted(rows.items()), ("all", _added(rows.values()))]:
        write("".join([f"{fault:<48}", *(f"{number:>13}" for number in numbers)]))
    for fault, reason in sorted(skipped):
        write(f"{fault:<48} not all of it: {reason}")


def _added(rows: Iterable[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


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
def trace(agent: Agent) -> Path:
    """Where strace, as any user, may write what it saw."""
    place = agent.root / "traces"
    place.mkdir()
    place.chmod(0o777)
    return place / "trace"


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
