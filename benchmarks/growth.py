"""What a queue costs that grows: memory of the daemon, and CPU of its start, by pending files and
by keys among which they are."""

import os
from collections.abc import Iterator

from benchmarks.backlog import keys
from benchmarks.figures import Budget, Row
from benchmarks.plot import Line, chart
from benchmarks.processes import main_thread_seconds, resident_megabytes
from benchmarks.subject import Subject
from pdagent.spool import file_name
from tests.support.agent import Agent
from tests.support.events_api import EventsApi

FILES = (1_000, 10_000, 100_000)  # a million by --scale 10
KEYS = (1, 100, 10_000)
FIRST = 1_700_000_000_000_000


def run(subject: Subject) -> Iterator[Row]:
    memory = {among: Line(f"{among:,} keys") for among in KEYS}
    cpu = {among: Line(f"{among:,} keys") for among in KEYS}
    with EventsApi() as api:
        api.stop()  # the events stay where they are
        with subject.agent(api) as empty:
            idle, nothing = start(empty)
        for among in KEYS:
            with subject.agent(api, max_connections=1) as agent:
                made = 0
                for count in map(subject.events, FILES):
                    fill(agent, keys(among), made, count)
                    made = count
                    megabytes, seconds = start(agent)
                    memory[among].add(count, megabytes)
                    cpu[among].add(count, seconds)
                    what = f"{count:,} files, {among:,} keys"
                    kilobytes = (megabytes - idle) * 1024
                    yield Row(f"memory, {what}", [megabytes], "MB", "empty", [idle])
                    if count >= 100_000:
                        each = kilobytes * 1024 / count
                        yield Row("… for each file", [each], "bytes")
                    budget = Budget(1.0, of="figure") if count == 100_000 else None
                    yield Row(f"start-up CPU, {what}", [seconds], "s", "empty", [nothing], budget)
    subject.plot("growth-memory", chart("Memory at start", "pending files", "MB", memory.values()))
    subject.plot("growth-cpu", chart("CPU of a start", "pending files", "s", cpu.values()))


def fill(agent: Agent, among: list[str], first: int, end: int) -> None:
    """Files that are never opened, hence empty."""
    directory = os.open(agent.spool / "pdq", os.O_RDONLY)
    for number in range(first, end):
        os.mknod(file_name(FIRST + number, among[number % len(among)]), dir_fd=directory)
    os.close(directory)


def start(agent: Agent) -> tuple[float, float]:
    """Memory in MB and CPU seconds of the main thread, when the daemon says that it is ready."""
    agent.start()
    assert agent.daemon is not None
    found = resident_megabytes(agent.daemon.pid), main_thread_seconds(agent.daemon.pid)
    agent.daemon.kill()
    agent.daemon.wait()
    agent.daemon = None
    return found
