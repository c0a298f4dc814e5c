"""Whether an event in error may still be sent, by what was delivered of its incident."""

import errno
import json
import os
from pathlib import Path

import pytest

from pdagent.queue.backlog import Backlog
from pdagent.queue.overtaking import MEMORY_SECONDS, Overtaking
from tests.support.calls import Calls, Fault

NAMES = {"@a": "A"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def overtaking(root: Path, clock: Clock) -> Overtaking:
    return Overtaking(Backlog(str(root)), lambda key: NAMES.get(key, key), monotonic=clock)


def deliver(root: Path, name: str, dedup_key: str) -> str:
    """As the daemon has it in suc/."""
    body = {"routing_key": "K", "event_action": "resolve", "dedup_key": dedup_key}
    (root / "suc" / name).write_text(json.dumps(body))
    return name


def test_a_younger_event_of_the_incident(root: Path, overtaking: Overtaking) -> None:
    """It alone counts, and the youngest is told: not older ones, other incidents' or other
    keys'."""
    deliver(root, "20_A.txt", "x")
    deliver(root, "10_A.txt", "y")
    deliver(root, "25_A.txt", "z")
    deliver(root, "30_B.txt", "w")
    deliver(root, "40_A.txt", "x")
    (root / "suc" / "50_A.txt").write_text("no event")
    assert overtaking.by("15_A.txt", "A", "=x") == "40_A.txt"
    for chain in ("=y", "=w", "=none"):
        assert overtaking.by("15_A.txt", "A", chain) is None
    assert overtaking.by("45_A.txt", "A", "=x") is None
    assert overtaking.by("5_A.txt", "A", "=y") == "10_A.txt"


def test_one_incident_by_the_key_and_by_its_name(root: Path, overtaking: Overtaking) -> None:
    """Whichever of them the file has, and whichever is asked for."""
    deliver(root, "20_@a.txt", "x")
    deliver(root, "21_A.txt", "y")
    assert overtaking.by("10_A.txt", "A", "=x") == "20_@a.txt"
    assert overtaking.by("10_@a.txt", "@a", "=y") == "21_A.txt"


def test_what_is_delivered_later_on(root: Path, clock: Clock, overtaking: Overtaking) -> None:
    """The daemon tells of it. What it does not tell of, for another daemon delivered it, is found
    when the memory is over; and telling does not fill the memory for ever."""
    deliver(root, "20_A.txt", "x")
    assert overtaking.by("10_A.txt", "A", "=y") is None
    overtaking.delivered(deliver(root, "30_A.txt", "y"))
    assert overtaking.by("10_A.txt", "A", "=y") == "30_A.txt"
    deliver(root, "40_A.txt", "y")
    clock.now += MEMORY_SECONDS + 1
    assert overtaking.by("10_A.txt", "A", "=y") == "40_A.txt"
    clock.now += MEMORY_SECONDS + 1
    overtaking.delivered("50_A.txt")
    overtaking.delivered("60_A.txt")
    assert not overtaking._keys


def test_what_is_cleaned_up_meanwhile(root: Path, overtaking: Overtaking) -> None:
    """It is not read, and not missed."""
    overtaking.by("10_A.txt", "A", "=x")
    overtaking.delivered("20_A.txt")
    assert overtaking.by("10_A.txt", "A", "=x") is None


def test_what_could_not_be_read_is_read_again(
    root: Path, overtaking: Overtaking, opening_calls: Calls
) -> None:
    """An error of the disk holds back the event that met it, and hides nothing from the next."""
    deliver(root, "20_A.txt", "x")
    opening_calls.inject(Fault(1, errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        overtaking.by("10_A.txt", "A", "=x")
    assert overtaking.by("11_A.txt", "A", "=x") == "20_A.txt"


def test_what_its_owner_has_shut_keeps_nobody_waiting(
    root: Path, overtaking: Overtaking, opening_calls: Calls
) -> None:
    """Who still has the file open can take away the right to read it."""
    deliver(root, "20_A.txt", "x")
    opening_calls.inject(Fault(1, errno.EACCES))
    assert overtaking.by("10_A.txt", "A", "=x") is None
