"""Activity: one worker works at a time, and nobody waits for long."""

import threading

import pytest

from pdagent.daemon import activity
from pdagent.daemon.activity import SLOW_SECONDS, Activity
from tests.support.agent import wait_until


class Office:
    """An activity, its clock, and how often somebody was called."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.called = 0
        self.came_back = 0
        self.lock = threading.RLock()
        self.activity = Activity(self.lock, self._call, lambda: self.now)

    def _call(self) -> None:
        assert self.lock._is_owned()  # type: ignore[attr-defined]
        self.called += 1

    def come_back(self) -> tuple[threading.Thread, threading.Event]:
        """Somebody who was away comes back, and works until the event is set."""
        done = threading.Event()
        thread = threading.Thread(target=self._come_back, args=(done,))
        thread.start()
        return thread, done

    def _come_back(self, done: threading.Event) -> None:
        self.activity.__exit__()
        self.came_back += 1
        done.wait(60)
        with self.lock:
            self.activity.end()

    def count(self) -> tuple[int, int]:
        """How many work, and how many wait to come back."""
        with self.lock:
            return len(self.activity._since), self.activity._returning


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(activity, "RETURN_SECONDS", 60.0)
    return Office()


def test_who_begins_works_until_he_ends(office: Office) -> None:
    """Nobody is called: he will look himself for what is next."""
    assert not office.activity.is_any()
    office.activity.begin()
    assert office.activity.is_any()
    office.activity.end()
    office.activity.end()  # once more does no harm
    assert not office.activity.is_any()
    assert office.called == 0


def test_who_is_away_does_not_work(office: Office) -> None:
    """Somebody else is called at once, and not when he comes back."""
    office.activity.begin()
    with office.activity:
        assert not office.activity.is_any()
        assert office.called == 1
    assert office.activity.is_any()
    assert office.called == 1


def test_who_comes_back_waits_for_who_works(office: Office) -> None:
    """Two who come back go one after the other, and nobody else begins before them."""
    office.activity.begin()
    gates = [office.come_back()[1], office.come_back()[1]]
    wait_until(lambda: office.count() == (1, 2))
    with office.activity:
        wait_until(lambda: office.count() == (1, 1))
        assert office.activity.is_any()
        for gate in gates:
            gate.set()
        wait_until(lambda: office.count() == (0, 0))
    assert office.count() == (1, 0)


def test_until_he_works_the_one_who_was_woken_counts(office: Office) -> None:
    """Otherwise somebody else would begin beside him."""
    office.activity.begin()
    thread, done = office.come_back()
    wait_until(lambda: office.count() == (1, 1))
    with office.lock:
        office.activity.end()
        assert office.activity.is_any()
    done.set()
    thread.join(30)
    assert office.count() == (0, 0)


def test_who_comes_back_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who works may have got stuck."""
    monkeypatch.setattr(activity, "RETURN_SECONDS", 0.01)
    office = Office()
    office.activity.begin()
    _, done = office.come_back()
    wait_until(lambda: office.count() == (2, 0))
    done.set()


def test_who_works_for_long_does_not_count(office: Office) -> None:
    """Others go on beside him. Who works since then counts."""
    office.activity.begin()
    office.now += SLOW_SECONDS - 0.01
    assert office.activity.is_any()
    office.now = 1000.0 + SLOW_SECONDS
    assert not office.activity.is_any()
    _, done = office.come_back()
    wait_until(lambda: office.count() == (2, 0))
    assert office.activity.is_any()
    done.set()


def test_without_memory_he_comes_back_all_the_same(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He may hold an answer. He works uncounted."""

    def fail(_: float) -> bool:
        raise MemoryError

    office.activity.begin()
    monkeypatch.setattr(office.activity._free, "wait", fail)
    thread, done = office.come_back()
    done.set()
    thread.join(30)
    assert not thread.is_alive()
    assert office.came_back == 1
    assert office.count() == (1, 0)


def test_without_memory_he_goes_away_all_the_same(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His request may be on its way, and he does what he went away for."""

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(office.activity, "_call", fail)
    office.activity.begin()
    with office.activity:
        assert office.count() == (0, 0)
    assert office.count() == (1, 0)


def test_without_memory_he_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits comes back by himself."""

    def fail() -> None:
        raise MemoryError

    office = Office()
    monkeypatch.setattr(activity, "RETURN_SECONDS", 0.5)
    monkeypatch.setattr(office.activity._free, "notify", fail)
    office.activity.begin()
    thread, done = office.come_back()
    wait_until(lambda: office.count() != (1, 0))
    with office.lock:
        office.activity.end()
    done.set()
    thread.join(30)
    assert not thread.is_alive()
    assert office.count() == (0, 0)
