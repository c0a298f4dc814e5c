"""An event whose handling came to no good end is put back, whatever memory there is for that."""

import threading
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.daemon.handling import Handling
from pdagent.queue.backlog import Backlog
from pdagent.queue.settlement import Settlement
from pdagent.queue.state import Counters, State
from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import Scheduler

FAR = 1e12
NAME = "1_key.txt"


class Chance:
    """Gives the same float, but for the first few times, when memory is short."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def __call__(self) -> float:
        self.failures -= 1
        if self.failures >= 0:
            raise MemoryError
        return 0.5


def handling_of(root: Path, scheduler: Scheduler) -> Handling:
    state, backlog = State(str(root)), Backlog(str(root))
    settlement = Settlement(backlog, state, Counters(state, 0.0))
    return Handling(Config({}), backlog, settlement, scheduler, threading.Condition(), lambda: None)


def claimed(scheduler: Scheduler, chain: str | None) -> Entry:
    entry = scheduler.claim(0.0)
    assert entry is not None
    entry.chain = chain
    return entry


@pytest.mark.parametrize("chain", ["dedup", None])
@pytest.mark.parametrize("failures", [0, 1, 3])
def test_is_put_back_once_there_is_memory(tmp_path: Path, chain: str | None, failures: int) -> None:
    """It goes again, once, and then the next of its key."""
    scheduler = Scheduler(Limits(60.0, 60, 4, 1), Chance(failures))
    handling = handling_of(tmp_path, scheduler)
    scheduler.add(NAME, "key")
    scheduler.add("2_key.txt", "key")
    handling.try_again(claimed(scheduler, chain))
    handling.try_again(scheduler._known[NAME])  # nothing any more
    names = []
    while (entry := scheduler.claim(FAR)) is not None:
        names.append(entry.name)
        scheduler.forget(entry)
    assert sorted(names) == [NAME, "2_key.txt"]
    assert not len(scheduler)
