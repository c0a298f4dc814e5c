"""One large file is read at a time, and reading them leaves time for everything else."""

import threading
import time

import pytest

from pdagent.daemon import large
from pdagent.daemon.large import PAUSE_MOST, PAUSES, Turn
from tests.support.agent import wait_until


def work(seconds: float) -> float:
    """Spends CPU time; returns how much."""
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass
    return time.thread_time() - began


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long somebody paused, instead of the pauses."""
    taken: list[float] = []
    monkeypatch.setattr(large, "pause", taken.append)
    return taken


def test_one_at_a_time() -> None:
    """The next one waits for its turn."""
    turn = Turn()
    entered = threading.Event()

    def wait() -> None:
        with turn:
            entered.set()

    thread = threading.Thread(target=wait)
    with turn:
        thread.start()
        wait_until(thread.is_alive)
        assert not entered.wait(0.05)
    assert entered.wait(30)
    thread.join()


def test_a_pause_follows_the_work(pauses: list[float]) -> None:
    """So that it takes a quarter of the time; but no pause is longer than a second."""
    turn = Turn()
    with turn:
        spent = work(0.02)
    assert pauses[0] >= spent * PAUSES
    with turn:
        turn._began -= 10
    assert pauses[1] == PAUSE_MOST


def test_a_turn_ends_whatever_happens(pauses: list[float]) -> None:
    """A file that can't be understood must not keep the next one waiting."""
    turn = Turn()
    with pytest.raises(ValueError, match="unfit"), turn:
        raise ValueError("unfit")
    with turn:
        pass
    assert len(pauses) == 2
