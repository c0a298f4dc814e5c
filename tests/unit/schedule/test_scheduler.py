"""Who may go now, while all goes well: in which order, and how it is told."""

from dataclasses import replace

import pytest

from pdagent.queue.holds import Tries
from pdagent.schedule import lane, telling
from pdagent.schedule.limits import Limits
from tests.unit.schedule.desk import (
    CAP,
    DELIVERED,
    LIMIT,
    ONE_BY_ONE,
    PLACES,
    REFUSED,
    THROTTLED,
    TROUBLED,
    UNREACHABLE,
    Desk,
    names,
)


def test_a_keys_events_go_one_by_one_in_order(desk: Desk) -> None:
    """The next one goes when the one before has been settled and forgotten, not sooner."""
    desk.add("A:x:1", "A:y:2", "A:x:3")
    first = desk.take()
    assert first is not None
    assert first.name == "A:x:1"
    assert desk.take() is None
    desk.scheduler.settle(first, DELIVERED, desk.now, desk.now)
    assert desk.take() is None
    desk.scheduler.forget(first)
    assert desk.drain() == ["A:y:2", "A:x:3"]


def test_keys_are_served_in_turn(desk: Desk) -> None:
    """A key with a thousand events takes no longer turns than one with a single event."""
    desk.add(*[f"A:{n}:{n}" for n in range(1000)], "B:b:0", "C:c:0", "C:c:1")
    taken = [desk.send() for _ in range(6)]
    assert taken == ["A:0:0", "B:b:0", "C:c:0", "A:1:1", "C:c:1", "A:2:2"]


def test_different_keys_are_on_their_way_together(desk: Desk) -> None:
    """One slow key holds up nobody else."""
    desk.add("A:x:1", "B:x:1", "C:x:1")
    assert [entry.name for entry in iter(desk.take, None)] == ["A:x:1", "B:x:1", "C:x:1"]


def test_an_event_is_known_once(desk: Desk) -> None:
    """Scan and wake-up may both find it; it is sent once, also while it is on its way."""
    desk.add("A:x:1", "A:x:1")
    entry = desk.take()
    desk.add("A:x:1")
    assert len(desk.scheduler) == 1
    desk.settle(entry, DELIVERED)
    assert desk.drain() == []
    assert len(desk.scheduler) == 0
    assert "A:x:1" not in desk.scheduler


def test_idle_means_nothing_is_due(desk: Desk) -> None:
    """With nothing pending there is no timer."""
    assert desk.scheduler.next_due(desk.now) is None
    desk.add("A:x:1")
    assert desk.drain() == ["A:x:1"]
    assert desk.scheduler.next_due(desk.now) is None


def test_new_limits_count_from_the_next_failure(desk: Desk) -> None:
    """A reload with a shorter backoff_interval_secs shortens every hold from then on."""
    desk.add("A:x:1", "B:x:1")
    for _ in range(10):
        desk.settle(desk.take(), UNREACHABLE)
        desk.now += CAP
    for _ in range(10):
        entry = desk.take()
        assert entry is not None
        desk.settle(entry, THROTTLED)
        desk.now += CAP
    desk.scheduler.configure(Limits(2.0, LIMIT, PLACES, 1))
    assert desk.settle(desk.take(), THROTTLED).seconds <= 2.0
    desk.now += CAP
    assert desk.settle(desk.take(), UNREACHABLE).seconds <= 2.0


def test_new_limits_count_from_the_next_claim(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of a key's events go at once, and more of all."""
    monkeypatch.setattr(lane, "NEW_ROOM", 3)
    desk.add("A:x:1", "A:y:2", "A:z:3")
    assert names(iter(desk.take, None)) == ["A:x:1"]
    desk.scheduler.configure(replace(ONE_BY_ONE, per_key=3))
    desk.add("A:w:4")
    assert names(iter(desk.take, None)) == ["A:y:2", "A:z:3"]


def test_what_is_pending_is_in_queue_order(desk: Desk) -> None:
    """By number, whatever letters say; what is no event comes first."""
    for name in ("10_A.txt", "9_A.txt", "junk"):
        desk.scheduler.add(name, "A", owner=7)
    assert desk.scheduler.pending() == [("junk", 7), ("9_A.txt", 7), ("10_A.txt", 7)]


def test_what_is_told_of_is_counted(desk: Desk) -> None:
    """`changes` grows with each hold that begins or ends, and with each try in vain, so that it is
    told anew. It does not grow where all is well, or where nobody is told."""
    scheduler, seen = desk.scheduler, [0]

    def grown() -> int:
        seen.append(scheduler.changes)
        return seen[-1] - seen[-2]

    def grown_when_gone(name: str) -> int:
        desk.wait()
        assert desk.drain() == [name]
        return grown()

    desk.add("A:x:1")
    assert desk.drain() == ["A:x:1"]
    assert grown() == 0
    desk.add("A:x:2")
    desk.settle(desk.take(), TROUBLED)
    assert grown() == 1  # a try in vain
    assert grown_when_gone("A:x:2") == 2  # it is no longer tried, and the chain no longer held
    desk.add("A:x:3")
    desk.settle(desk.take(), THROTTLED)
    assert grown() == 2  # a try, and the key's hold
    assert grown_when_gone("A:x:3") == 2  # the hold ends, and the event is no longer tried
    desk.add("A:x:4")
    scheduler.postpone(desk.patiently(), desk.now, desk.now + 5)
    assert grown_when_gone("A:x:4") == 0  # nobody was told
    desk.add("A:x:5")
    scheduler.postpone(desk.patiently(), desk.now, desk.now + 5, "may not be read")
    assert grown() == 1
    assert grown_when_gone("A:x:5") == 1
    desk.add("A:x:6")
    entry = scheduler.claim(desk.now)
    assert entry is not None
    scheduler.delay(entry, desk.now, desk.now + 5, "can't be read")
    assert grown() == 1
    assert grown_when_gone("A:x:6") == 1
    desk.add("A:x:7", "B:x:8")
    desk.settle(desk.take(), UNREACHABLE)
    desk.settle(desk.take(), UNREACHABLE)
    assert grown() == 2
    desk.wait()
    desk.settle(desk.take(), REFUSED)
    assert grown() == 2  # the outage is over, and the event is no longer tried
    assert len(desk.drain()) == 1
    assert grown() == 1


def test_what_is_not_reached_is_told_whoever_tried(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an outage people learn though there are too many tries to remember its own."""
    monkeypatch.setattr(telling, "TRIES_KEPT", 0)
    desk.add("A:x:1")
    before = desk.scheduler.changes
    desk.settle(desk.take(), UNREACHABLE)
    assert desk.scheduler.changes > before


def test_what_was_tried_is_told(desk: Desk) -> None:
    """How often, when last, and what came of it."""
    desk.add("A:x:1")
    first, began = desk.take(), desk.now
    desk.settle(first, TROUBLED)
    assert desk.scheduler.held(desk.now).tries == {"A:x:1": Tries(1, began, "answered 500")}
    desk.wait()
    desk.settle(desk.take(), THROTTLED)
    tries = Tries(2, desk.now, "throttled: PagerDuty answered 429")
    assert desk.scheduler.held(desk.now).tries == {"A:x:1": tries}
    desk.wait()
    again = desk.take()
    assert again is first
    assert again is not None
    assert not again.heavy
    desk.settle(again, DELIVERED)
    assert desk.scheduler.held(desk.now).tries == {}


def test_whose_an_event_is(desk: Desk) -> None:
    """Root's, unless it is said."""
    desk.scheduler.add("1_A.txt", "A")
    desk.scheduler.add("2_A.txt", "A", owner=1003)
    assert desk.scheduler.pending() == [("1_A.txt", 0), ("2_A.txt", 1003)]
    assert [desk.scheduler.turns.pending(uid) for uid in (0, 1003, 1)] == [1, 1, 0]


def test_the_oldest_event(desk: Desk) -> None:
    """What is no event does not count."""
    assert desk.scheduler.oldest is None
    desk.scheduler.add("junk", "/junk")
    assert desk.scheduler.oldest is None
    desk.add("A:x:1", "A:y:2")
    assert desk.scheduler.oldest == "A:x:1"
    assert desk.scheduler.figures().oldest == "A:x:1"
    assert desk.scheduler.figures().pending == 3


def test_nothing_is_remembered_of_keys_that_have_no_events(desk: Desk) -> None:
    """There may be as many keys as events."""
    desk.add("A:x:1", "A:x:2", "B:y:3")
    desk.settle(desk.take(), TROUBLED)
    assert desk.take() is not None
    assert desk.take() is None
    assert sorted(desk.scheduler._lanes) == ["A", "B"]
    desk.wait()
    assert desk.drain() == ["A:x:1", "A:x:2"]
    assert sorted(desk.scheduler._lanes) == ["B"]


def test_whether_an_event_is_on_its_way(desk: Desk) -> None:
    """One that waits or is gone is not."""
    desk.add("A:x:1", "A:y:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    assert desk.scheduler.is_claimed(entry)
    assert desk.scheduler.may_send(entry, "x")
    assert desk.scheduler.is_claimed(entry)
    desk.settle(entry, TROUBLED)
    assert not desk.scheduler.is_claimed(entry)
    desk.wait()
    assert desk.drain() == ["A:x:1", "A:y:2"]
    assert not desk.scheduler.is_claimed(entry)
    assert desk.scheduler.claim(desk.now) is None


def test_a_lane_that_has_lost_its_turn(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets another one where memory ran out right after its event was put back."""

    def out_of_memory(_: lane.Lane) -> None:
        raise MemoryError

    desk.add("A:x:1")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    with monkeypatch.context() as patch:
        patch.setattr(desk.scheduler.turns, "offer", out_of_memory)
        with pytest.raises(MemoryError):
            desk.scheduler.make_heavy(entry, desk.now)
    assert not desk.scheduler.is_claimed(entry)
    assert desk.scheduler.claim(desk.now) is None
    desk.scheduler.offer_again(entry)
    assert desk.scheduler.claim(desk.now) is entry
