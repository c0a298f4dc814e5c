"""Files that are not ready: who waits for them, and for how long."""

import pytest

from pdagent.queue.holds import Cause, Hold, Scope
from pdagent.wire.verdict import Throttled
from tests.unit.schedule.desk import DELIVERED, TROUBLED, Desk, names


def test_a_file_that_cannot_be_read_now_keeps_its_place(desk: Desk) -> None:
    """When the system is short of something the key waits, and its order stands."""
    desk.add("A:x:1", "A:x:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    desk.scheduler.delay(entry, desk.now, desk.now + 5, "can't be read")
    assert desk.take() is None
    assert desk.wait() == 5
    assert desk.drain() == ["A:x:1", "A:x:2"]


@pytest.mark.parametrize("readable", [True, False])
def test_an_event_that_could_not_be_read_holds_its_key_no_longer(
    desk: Desk, readable: bool
) -> None:
    """Once it is sent or set aside, whatever holds up the next event, nobody is told of it."""
    desk.add("A:x:1", "A:y:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    desk.scheduler.delay(entry, desk.now, desk.now + 5, "can't be read")
    assert [hold.scope for hold in desk.scheduler.held(desk.now).holds] == ["key"]
    desk.wait()
    if readable:
        desk.send(TROUBLED)
    else:
        entry = desk.scheduler.claim(desk.now)
        assert entry is not None
        desk.scheduler.forget(entry)
        desk.send(TROUBLED)
    assert [hold.scope for hold in desk.scheduler.held(desk.now).holds] == ["chain"]


def test_an_unreadable_follower_of_a_held_chain_is_not_lost(desk: Desk) -> None:
    """A file that can't be read when its turn comes gets another turn, and keeps its place."""
    desk.add("A:x:1", "A:x:2", "A:x:3")
    desk.send(TROUBLED)
    assert desk.drain() == []  # 2 and 3 are parked
    desk.wait()
    assert desk.send() == "A:x:1"
    second = desk.scheduler.claim(desk.now)
    assert second is not None
    assert second.name == "A:x:2"
    desk.scheduler.delay(second, desk.now, desk.now + 5, "can't be read")
    desk.now += 5
    assert desk.drain() == ["A:x:2", "A:x:3"]


def test_an_unfinished_event_holds_its_chain(desk: Desk) -> None:
    """While a sender is not done, the rest of the key goes on; being told again ends the wait."""
    desk.add("A:x:1", "A:y:2", "A:x:3")
    entry = desk.take()
    assert entry is not None
    desk.scheduler.postpone(entry, desk.now, desk.now + 5)
    assert desk.drain() == ["A:y:2"]
    desk.add("A:x:1")
    assert desk.drain() == ["A:x:1", "A:x:3"]


def test_being_told_again_does_not_end_a_hold_for_trouble(desk: Desk) -> None:
    """Scans find a waiting event again and again: its backoff stands, finished late or not."""
    desk.add("A:x:1")
    entry = desk.take()
    assert entry is not None
    desk.scheduler.postpone(entry, desk.now, desk.now + 5)
    desk.wait()
    desk.settle(desk.take(), TROUBLED)
    desk.add("A:x:1")
    assert desk.take() is None


@pytest.mark.parametrize("cause", [Cause.UNREADABLE, Cause.UNNAMED])
def test_a_delay_of_a_key_ends_with_its_event(desk: Desk, cause: Cause) -> None:
    """People are told why it waits, and not any more once the event is past that."""
    desk.add("A:x:1", "A:y:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    begun = desk.now
    desk.scheduler.delay(entry, begun, begun + 5, "no such name", cause)
    hold = Hold(Scope.KEY, cause, "no such name", begun, begun + 5, "A")
    assert desk.scheduler.held(begun).holds == (hold,)
    assert desk.drain() == []
    desk.now = begun + 5
    assert desk.send() == "A:x:1"
    assert desk.scheduler.held(desk.now).holds == ()
    assert desk.drain() == ["A:y:2"]


def test_a_delay_ends_where_its_event_is_gone(desk: Desk) -> None:
    """Nobody is told any more that the key waits for it."""
    desk.add("A:x:1", "A:y:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    desk.scheduler.delay(entry, desk.now, desk.now + 5, "can't be read")
    desk.wait()
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    desk.scheduler.forget(entry)
    assert desk.scheduler.held(desk.now).holds == ()
    assert desk.drain() == ["A:y:2"]


def test_a_delay_that_is_over_ends_no_other_hold(busy: Desk) -> None:
    """Such as a throttling of the key by another event, beside which a person removes this one."""
    busy.add("A:x:1", "A:y:2", "A:z:3")
    entry = busy.scheduler.claim(busy.now)
    assert entry is not None
    busy.scheduler.delay(entry, busy.now, busy.now + 5, "can't be read")
    busy.wait()
    busy.settle(busy.take(), TROUBLED)
    busy.settle(busy.take(), DELIVERED)
    busy.wait()
    flying = {found.name: found for found in iter(busy.take, None)}
    busy.settle(flying["A:z:3"], Throttled(429, 17.0))
    busy.scheduler.forget(flying["A:x:1"])
    assert [hold.cause for hold in busy.scheduler.held(busy.now).holds] == [Cause.THROTTLED]
    assert busy.take() is None


def test_a_delay_that_an_answer_has_ended_ends_no_other_hold(busy: Desk) -> None:
    """Then the event goes after all, and another of its key is throttled meanwhile."""
    busy.add("A:x:1", "A:y:2", "A:z:3")
    first, entry = busy.take(), busy.scheduler.claim(busy.now)
    assert entry is not None
    busy.scheduler.delay(entry, busy.now, busy.now + 5, "can't be read")
    busy.settle(first, DELIVERED)
    delayed, other, begun = busy.take(), busy.take(), busy.now
    assert delayed is entry
    busy.now += 1
    busy.settle(other, Throttled(429, 17.0))
    busy.settle(delayed, DELIVERED, begun)
    assert [hold.cause for hold in busy.scheduler.held(busy.now).holds] == [Cause.THROTTLED]


def test_a_delay_while_a_key_is_throttled_ends_nothing(busy: Desk) -> None:
    """The longer hold is not its own, and stays when its event is gone."""
    busy.add("A:x:1", "A:y:2")
    first, entry = busy.take(), busy.scheduler.claim(busy.now)
    assert entry is not None
    busy.settle(first, Throttled(429, 17.0))
    busy.scheduler.delay(entry, busy.now, busy.now + 5, "can't be read")
    busy.scheduler.forget(entry)
    assert [hold.cause for hold in busy.scheduler.held(busy.now).holds] == [Cause.THROTTLED]


def test_an_event_that_steps_aside(desk: Desk) -> None:
    """By itself, under its own name, and people are told why. The rest of its key goes on."""
    desk.add("A:x:1", "A:y:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    begun, changes = desk.now, desk.scheduler.changes
    desk.scheduler.postpone(entry, begun, begun + 5, "may not be read")
    assert desk.scheduler.changes > changes
    why = Hold(
        Scope.CHAIN, Cause.UNREADABLE, "may not be read", begun, begun + 5, "A", "A:x:1"
    )  # fmt: skip
    assert desk.scheduler.held(begun).holds == (why,)
    figures = desk.scheduler.figures()
    assert (figures.pending, figures.oldest, figures.holds["chain"]) == (2, "A:x:1", (1, 1))
    assert desk.drain() == ["A:y:2"]
    desk.now = begun + 5
    assert desk.send() == "A:x:1"


def test_a_large_event_finds_one_of_the_places_for_such(desk: Desk) -> None:
    """It keeps its turn in its key."""
    desk.add("A:x:1", "A:y:2")
    entry = desk.scheduler.claim(desk.now)
    assert entry is not None
    assert not entry.heavy
    desk.scheduler.make_heavy(entry, desk.now)
    assert desk.scheduler.claim(desk.now) is entry
    assert entry.heavy
    assert desk.scheduler.may_send(entry, "x")
    desk.settle(entry, DELIVERED)
    second = desk.take()
    assert second is not None
    assert (second.name, second.heavy) == ("A:y:2", False)


def test_an_event_that_stepped_aside_joins_its_chain(busy: Desk) -> None:
    """Once its file can be read: what is of its incident waits for it, and it for what went."""
    busy.add("A:x:1", "A:y:2", "A:x:3", "A:y:4")
    first = busy.scheduler.claim(busy.now)
    assert first is not None
    busy.scheduler.postpone(first, busy.now, busy.now + 5, "may not be read")
    ahead = busy.take()
    assert ahead is not None
    assert ahead.name == "A:y:2"
    told = busy.scheduler.changes
    busy.now += 5
    assert busy.scheduler.claim(busy.now) is first
    assert not busy.scheduler.may_send(first, "y")
    assert busy.scheduler.changes == told + 1
    assert busy.scheduler.held(busy.now).holds == ()
    assert names(iter(busy.take, None)) == ["A:x:3"]
    busy.settle(ahead, DELIVERED)
    assert busy.scheduler.claim(busy.now) is first
    assert busy.scheduler.may_send(first, "x")  # a file that changes does not change its chain
    assert first.chain == "y"
    busy.settle(first, DELIVERED)
    assert names(iter(busy.take, None)) == ["A:y:4"]


def test_a_sender_who_is_done_with_what_is_not_waited_for(desk: Desk) -> None:
    """It may be gone, or on its way, or in trouble: all stays as it is."""
    desk.scheduler.finish("A:x:1")
    desk.add("A:x:1")
    entry = desk.take()
    desk.scheduler.finish("A:x:1")
    assert desk.take() is None
    desk.settle(entry, TROUBLED)
    desk.scheduler.finish("A:x:1")
    assert desk.take() is None
    assert desk.wait() == 0.5
    assert desk.drain() == ["A:x:1"]
