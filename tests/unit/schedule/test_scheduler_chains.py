"""Several chains of one key, on their way at once."""

from dataclasses import replace

from pdagent.wire.verdict import Throttled
from tests.unit.schedule.desk import DELIVERED, ONE_BY_ONE, THROTTLED, UNREACHABLE, Desk, names


def test_chains_of_a_key_are_on_their_way_together(busy: Desk) -> None:
    """As many as the limit says; of each chain one event, and the next when that is forgotten."""
    busy.add("A:x:1", "A:x:2", "A:y:3", "A:z:4", "A:w:5")
    first, *others = flying = list(iter(busy.take, None))
    assert names(flying) == ["A:x:1", "A:y:3", "A:z:4"]
    busy.settle(first, DELIVERED)
    assert names(iter(busy.take, None)) == ["A:x:2"]
    busy.settle(others[0], DELIVERED)
    assert names(iter(busy.take, None)) == ["A:w:5"]


def test_a_key_begins_with_two_at_once() -> None:
    """All posts of a key may hang, and then keep their places from other keys. Once an event is
    taken, as many go as may."""
    desk = Desk(limits=replace(ONE_BY_ONE, per_key=8))
    desk.add(*[f"A:{n}:{n}" for n in range(20)])
    rounds = []
    while flying := list(iter(desk.take, None)):
        rounds.append(len(flying))
        for entry in flying:
            desk.settle(entry, DELIVERED)
    assert rounds == [2, 8, 8, 2]


def test_one_event_of_a_key_is_read_at_a_time(busy: Desk) -> None:
    """The second could turn out to be of the same chain before the first does."""
    busy.add("A:x:1", "A:x:2")
    first = busy.scheduler.claim(busy.now)
    assert first is not None
    assert busy.scheduler.claim(busy.now) is None
    assert busy.scheduler.may_send(first, "x")
    assert busy.take() is None
    busy.settle(first, DELIVERED)
    assert busy.drain() == ["A:x:2"]


def test_throttling_takes_a_key_back_to_one_at_a_time(busy: Desk) -> None:
    """And each event that is taken after that lets one more go at once. What was on its way when
    PagerDuty throttled neither ends the hold nor makes it longer."""
    busy.add(*[f"A:{n}:{n}" for n in range(12)])
    throttled, taken, too = list(iter(busy.take, None))
    started = busy.now
    busy.now += 1
    assert busy.settle(throttled, Throttled(429, 17.0), started).seconds == 17.0
    busy.now += 1
    busy.settle(taken, DELIVERED, started)
    assert busy.settle(too, THROTTLED, started).seconds == 16.0
    assert busy.take() is None
    assert busy.wait() == 16.0
    rounds = []
    while flying := list(iter(busy.take, None)):
        rounds.append(len(flying))
        for entry in flying:
            busy.settle(entry, DELIVERED)
    assert rounds == [1, 2, 3, 3, 2]


def test_failures_that_were_on_their_way_together_are_one(busy: Desk) -> None:
    """The key waits as long after three posts that failed at once as after one."""
    busy.add(*[f"A:{n}:{n}" for n in range(3)])
    flying, started = list(iter(busy.take, None)), busy.now
    busy.now += 1
    seconds = [busy.settle(entry, THROTTLED, started).seconds for entry in flying]
    assert seconds == [0.5, 0.5, 0.5]


def test_what_was_sent_before_an_outage_widens_no_way_after_it(busy: Desk) -> None:
    """The key went down to one at a time. A post from before that tells nothing of it, though the
    outage is over."""
    busy.add("A:x:1", "A:y:2", "A:z:3")
    flying, begun = list(iter(busy.take, None)), busy.now
    busy.now += 1
    busy.settle(flying[0], UNREACHABLE)
    assert busy.settle(flying[1], UNREACHABLE).scope == "key"
    busy.add("B:x:1")
    assert busy.send() == "B:x:1"
    busy.settle(flying[2], DELIVERED, begun)
    assert len(names(iter(busy.take, None))) == 1


def test_a_longer_hold_of_a_key_stays(busy: Desk) -> None:
    """A file that can't be read for five seconds does not end a throttling of seventeen."""
    busy.add("A:x:1", "A:y:2")
    sent = busy.take()
    read = busy.scheduler.claim(busy.now)
    assert read is not None
    busy.settle(sent, Throttled(429, 17.0))
    busy.scheduler.delay(read, busy.now, busy.now + 5, "can't be read")
    assert [hold.why for hold in busy.scheduler.held(busy.now).holds] == [
        "throttled: PagerDuty answered 429"
    ]
    assert busy.wait() == 5.0
    assert busy.take() is None
    assert busy.wait() == 12.0
    assert sorted(busy.drain()) == ["A:x:1", "A:y:2"]


def test_the_end_of_an_outage_ends_no_throttling(busy: Desk) -> None:
    """Two events of a key are on their way: one finds nothing reachable, PagerDuty throttles the
    other."""
    busy.add("A:x:1", "A:y:2", "B:z:3")
    flying = list(iter(busy.take, None))
    busy.settle(flying[0], Throttled(429, 17.0))
    busy.settle(flying[2], UNREACHABLE)
    busy.settle(flying[1], DELIVERED)
    assert busy.take() is None


def test_what_is_put_back_is_overtaken_by_none_of_its_chain(busy: Desk) -> None:
    """The next event of the chain is being read while the first comes back."""
    busy.add("A:x:1", "A:y:2", "A:x:3")
    first, second = busy.take(), busy.take()
    third = busy.scheduler.claim(busy.now)
    assert third is not None
    busy.settle(first, Throttled(429, 1.0))
    assert not busy.scheduler.may_send(third, "x")
    busy.settle(second, DELIVERED, busy.now - 1)
    busy.wait()
    assert busy.drain() == ["A:x:1", "A:x:3"]


def test_being_told_again_of_an_event_on_its_way_sends_it_once(busy: Desk) -> None:
    """A scan finds its file while the post is under way, and others of its chain wait."""
    busy.add("A:x:1", "A:x:2")
    first = busy.take()
    assert busy.take() is None
    busy.add("A:x:1")
    assert busy.take() is None
    busy.settle(first, DELIVERED)
    assert busy.drain() == ["A:x:2"]
    assert len(busy.scheduler) == 0


def test_a_thousand_of_one_chain_cost_one_claim_each(busy: Desk) -> None:
    """They were all read and parked behind the first; none is read in vain again."""
    busy.add(*[f"A:x:{n}" for n in range(1000)])
    first = busy.take()
    assert busy.take() is None
    busy.settle(first, DELIVERED)
    claims = 0
    while entry := busy.scheduler.claim(busy.now):
        claims += 1
        assert busy.scheduler.may_send(entry, "x")
        busy.settle(entry, DELIVERED)
    assert claims == 999
