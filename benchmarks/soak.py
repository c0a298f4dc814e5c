"""Ten minutes of constant load: memory, descriptors and threads must not grow.

A thread more, with its connection, takes a megabyte or two. So that all that there can be are made
at the beginning, the API is slow then.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from benchmarks.backlog import fill, keys
from benchmarks.figures import Budget, Row
from benchmarks.plot import Line, chart
from benchmarks.processes import resident_megabytes
from benchmarks.subject import Subject, tls_api
from pdagent.spool import Spool
from tests.support.agent import Agent

SECONDS = 600
RATE = 20  # events a second
KEYS = 20
LATENCY = 2.0  # seconds, at the beginning
EVERY = 5.0


@dataclass
class Samples:
    """What a process had, time after time."""

    memory: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)
    threads: list[float] = field(default_factory=list)

    def take(self, pid: int) -> None:
        self.memory.append(resident_megabytes(pid))
        self.descriptors.append(len(os.listdir(f"/proc/{pid}/fd")))
        self.threads.append(len(os.listdir(f"/proc/{pid}/task")))


def run(subject: Subject) -> Iterator[Row]:
    seconds = subject.events(SECONDS)
    with tls_api() as api, subject.agent(api) as agent:
        agent.start()
        assert agent.daemon is not None
        api.latency = LATENCY
        warm = threading.Timer(seconds / 20, setattr, (api, "latency", 0.0))
        warm.start()
        samples, sent = load(agent, agent.daemon.pid, seconds)
        api.wait_accepted(sent, timeout=120)
    tenth = max(1, len(samples.memory) // 10)
    for what, values, unit in (
        ("memory", samples.memory, "MB"),
        ("descriptors", samples.descriptors, ""),
        ("threads", samples.threads, ""),
    ):
        # in the first tenth connections and threads are made
        second, last = values[tenth : 2 * tenth], values[-tenth:]
        yield Row(
            f"{what} after {seconds / 60:.0f} min of {RATE} events/s",
            [median(last)],
            unit,
            "in the second tenth",
            [median(second)],
            Budget(1.05),
        )
    line = Line("RSS")
    for number, value in enumerate(samples.memory):
        line.add(number * EVERY / 60, value)
    subject.plot("soak", chart("Memory under constant load", "minutes", "MB", [line], log=False))


def load(agent: Agent, pid: int, seconds: float) -> tuple[Samples, int]:
    """Sends at a constant rate; what was seen, and how many events were sent."""
    spool = Spool(str(agent.spool))
    names = fill(agent, keys(KEYS), 1 << 62)
    samples, sent = Samples(), 0
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        while sent < now * RATE:
            spool.wake(next(names))
            sent += 1
        if len(samples.memory) <= now / EVERY:
            samples.take(pid)
        time.sleep(1 / RATE)
    return samples, sent
