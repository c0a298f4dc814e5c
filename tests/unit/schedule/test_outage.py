"""An outage: doubt begins narrow and widens, and any answer ends it."""

from math import inf

from pdagent.queue.holds import Cause, Scope
from pdagent.schedule.outage import FIRST_ROOM, FULL_ROOM, Outage

CAP = 60.0


def outage() -> Outage:
    return Outage(lambda: 0.5)


def miss(found: Outage, name: str, key: str, now: float = 10.0, started: float = 10.0) -> Scope:
    return found.missed(name, key, started, now, CAP, "reset").scope


def test_doubt_widens() -> None:
    """About the event, about its key with a second one, about all with another key; never back."""
    found = outage()
    assert miss(found, "1", "A") is Scope.CHAIN
    assert miss(found, "1", "A") is Scope.CHAIN
    assert miss(found, "2", "A") is Scope.KEY
    assert miss(found, "1", "A") is Scope.KEY
    assert found.until is None
    assert miss(found, "3", "B") is Scope.DESTINATION
    assert found.until is not None


def test_doubt_about_all() -> None:
    """At once, where several destinations were tried."""
    found = outage().missed("1", "A", 10.0, 10.0, CAP, "reset", everywhere=True)
    assert found.scope is Scope.DESTINATION


def test_a_hold_has_scope_cause_and_end() -> None:
    """It began with the first miss, and the latest says until when it lasts, and why."""
    found = outage()
    found.missed("1", "A", 10.0, 10.0, CAP, "reset")
    hold = found.missed("2", "B", 11.0, 12.0, CAP, "no route")
    assert (hold.cause, hold.why, hold.since, hold.until) == (
        Cause.UNREACHABLE, "no route", 10.0, 13.0,
    )  # fmt: skip


def test_what_was_sent_before_tells_nothing_new() -> None:
    """A post that was on its way when the outage began does not lengthen it."""
    found = outage()
    first = found.missed("1", "A", 10.0, 10.0, CAP, "reset")
    late = found.missed("2", "B", 9.0, 30.0, CAP, "time-out")
    assert (late.until, late.why) == (first.until, "reset")


def test_an_answer_ends_it_for_all() -> None:
    """And those that missed are named, in order, once."""
    found = outage()
    for name, key in (("2", "A"), ("1", "B"), ("2", "A")):
        miss(found, name, key)
    assert not found.allows(10.0)
    assert found.answered(taken=False, now=20.0) == ["2", "1"]
    assert found.hold is None
    assert found.allows(10.0)
    assert found.answered(taken=False, now=20.0) == []


def test_the_way_back_is_a_slow_start() -> None:
    """After an outage of the destination two may go at once, and one more for each taken."""
    found = outage()
    miss(found, "1", "A")
    found.answered(taken=True, now=20.0)
    assert found.room == inf  # nothing but one event was in doubt
    miss(found, "1", "A")
    miss(found, "2", "B")
    found.answered(taken=True, now=20.0)
    assert found.room == FIRST_ROOM
    found.answered(taken=False, now=20.0)
    assert found.room == FIRST_ROOM
    for _ in range(FULL_ROOM - FIRST_ROOM):
        found.answered(taken=True, now=20.0)
    assert found.room == FULL_ROOM
    found.answered(taken=True, now=20.0)
    assert found.room == inf


def test_one_probe_at_a_time() -> None:
    """And none before the hold of the destination has ended."""
    found = outage()
    miss(found, "1", "A")
    miss(found, "2", "B", now=10.0)
    assert found.until is not None
    assert not found.allows(found.until - 0.1)
    assert found.allows(found.until)
    found.probe = "2"
    assert not found.allows(found.until)


def test_what_was_sent_before_its_end_is_old() -> None:
    """Only before an end: an answer while there is no outage makes nothing old."""
    found = outage()
    assert not found.ended_after(-1e9)
    found.answered(taken=True, now=5.0)
    assert not found.ended_after(4.0)
    miss(found, "1", "A")
    assert not found.ended_after(4.0)
    found.answered(taken=False, now=20.0)
    found.answered(taken=False, now=30.0)
    assert found.ended_after(19.9)
    assert not found.ended_after(20.0)
