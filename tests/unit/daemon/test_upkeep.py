"""Disk and memory stay within bounds, and a queue that grows is said aloud, once."""

import logging
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pdagent.config import Config
from pdagent.daemon.upkeep import AGAIN_SECONDS, Upkeep
from pdagent.queue.budget import Disk
from pdagent.queue.cleanup import Cleanup
from pdagent.queue.state import Counters, State
from tests.support.agent import wait_until

FREE = Disk(10**12, 10**12, 10**6, 10**6)
SCARCE = Disk(10**6, 10**12, 10**6, 10**6)
INTERVAL, THRESHOLD = 600, 3600


class Host:
    """A spool, its counters, a disk, and a wall clock far ahead of the files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root.parent / "db").mkdir()
        self.state = State(str(root.parent))
        self.counters = Counters(self.state, 0.0)
        self.disk = FREE
        self.pending = 0
        self.wall = time.time()
        self.running = 0.0
        cleanup = Cleanup(
            str(root), self.state, lambda: self.wall, lambda: self.running, lambda _: self.disk
        )
        self.upkeep = Upkeep(self.config(), cleanup, self.counters, lambda: self.pending)

    def config(self, **settings: int) -> Config:
        usual = {
            "cleanup_interval_secs": INTERVAL,
            "cleanup_threshold_secs": THRESHOLD,
            "max_delivered_events": 10,
            "pending_warning": 5,
        }
        return Config({**usual, **settings})

    def deliver(self, number: int) -> None:
        for _ in range(number):
            self.counters.delivered += 1
            (self.root / "suc" / f"{self.counters.delivered}_K.txt").write_bytes(b"{}")

    @property
    def delivered(self) -> int:
        return len(list((self.root / "suc").iterdir()))

    def settled(self) -> None:
        """Waits for the clean-up that runs, if one does."""
        wait_until(lambda: self.upkeep._cleaning is None or not self.upkeep._cleaning.is_alive())


@pytest.fixture
def host(root: Path) -> Host:
    return Host(root)


def test_a_sweep_comes_at_the_start_and_after_each_interval(host: Host) -> None:
    """It removes what was settled longer ago than the threshold."""
    now = time.monotonic()
    host.deliver(2)
    assert host.upkeep.sweep_if_due(now) == now + INTERVAL
    host.settled()
    assert host.delivered == 2
    host.wall += THRESHOLD + 1
    host.running += THRESHOLD + 1
    assert host.upkeep.sweep_if_due(now + INTERVAL - 1) == now + INTERVAL
    host.settled()
    assert host.delivered == 2
    host.upkeep.sweep_if_due(now + INTERVAL)
    wait_until(lambda: not host.delivered)


def test_a_sweep_that_could_not_begin_is_tried_again_soon(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no thread to give."""

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", none)
    now = time.monotonic()
    assert host.upkeep.sweep_if_due(now) == now + min(INTERVAL, AGAIN_SECONDS)


def test_delivered_events_are_trimmed_to_their_number(host: Host) -> None:
    """Once a tenth more than allowed was delivered since the last time."""
    host.deliver(1)
    host.upkeep.tick()
    assert host.upkeep._cleaning is None
    host.deliver(14)
    host.upkeep.tick()
    wait_until(lambda: host.delivered == 10)
    host.settled()
    host.deliver(1)
    host.upkeep.tick()
    host.settled()
    assert host.delivered == 11


def test_a_reload_changes_the_bounds(host: Host) -> None:
    """From the next look on."""
    host.upkeep.configure(host.config(max_delivered_events=3))
    host.deliver(8)
    host.upkeep.tick()
    wait_until(lambda: host.delivered == 3)


def test_a_disk_that_runs_short_is_relieved(host: Host) -> None:
    """Delivered events make room, however few they are."""
    host.deliver(1)
    host.upkeep.tick()
    host.settled()
    assert host.delivered == 1
    host.disk = SCARCE
    host.upkeep.tick()
    wait_until(lambda: not host.delivered)


def test_many_pending_events_are_said_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """And so is that they are no longer many."""
    caplog.set_level(logging.WARNING)
    said = []
    for host.pending in (5, 6, 7, 6, 5, 5, 6):
        caplog.clear()
        host.upkeep.tick()
        said.append([record.getMessage() for record in caplog.records])
    many = "6 events are pending, more than pending_warning = 5. "
    many += "They are kept, and sent as soon as they can be."
    assert said == [[], [many], [], [], ["5 events pending: no longer many"], [], [many]]


def test_memory_is_given_back_when_work_is_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At two looks after work, and after a bulletin; not at each, since each look takes some."""
    given = 0
    cpu = 1.0

    def release() -> None:
        nonlocal given
        given += 1

    # Only the packaged Python has this module.
    monkeypatch.setitem(sys.modules, "_pages", SimpleNamespace(release=release))
    monkeypatch.setattr(time, "process_time", lambda: cpu)
    upkeep = Host(root).upkeep
    found = []
    for worked, bulletins in (
        *((1.0, 0), (0.0, 0), (0.005, 0), (0.0, 0)),
        *((0.0, 1), (0.0, 1), (0.0, 1), (0.02, 2)),
    ):
        cpu += worked
        upkeep.give_back(bulletins)
        found.append(given)
    assert found == [0, 1, 2, 2, 3, 4, 4, 4]
