"""Nothing is reached: who finds out, how PagerDuty is asked again, and what follows."""

from pdagent.schedule.rules import Fate
from tests.unit.schedule.desk import (
    CAP,
    DELIVERED,
    REFUSED,
    THROTTLED,
    TROUBLED,
    UNREACHABLE,
    Desk,
    outage,
)


def test_an_outage_lets_one_probe_through_at_a_time(desk: Desk) -> None:
    """Everybody waits, one event tries, and when it arrives everybody goes."""
    outage(desk)
    desk.add("A:x:1", "A:x:2", "B:x:1", "C:x:1")
    assert desk.scheduler.unreachable is not None
    assert desk.take() is None
    assert desk.wait() == 1.0
    probe = desk.take()
    assert probe is not None
    assert desk.take() is None
    ruling = desk.settle(probe, UNREACHABLE)
    assert (ruling.fate, ruling.scope, ruling.seconds) == (Fate.WAITS, "destination", 2.0)
    assert desk.take() is None
    desk.wait()
    probe = desk.take()
    desk.settle(probe, DELIVERED)
    assert desk.scheduler.unreachable is None
    sent = desk.drain()
    assert len(desk.scheduler) == 0
    assert [name for name in sent if name.startswith("A")] == ["A:x:1", "A:x:2"]


def test_what_one_event_misses_is_no_outage_yet(desk: Desk) -> None:
    """A proxy may never let this one pass: alone in the queue it backs off alone, and what comes
    then goes at once, of its own key too."""
    desk.add("A:filtered:1", "A:filtered:2")
    for _ in range(10):
        assert desk.settle(desk.patiently(), UNREACHABLE).scope == "chain"
        assert desk.take() is None
    desk.add("A:fine:3", "B:fine:1")
    assert desk.send() == "A:fine:3"
    assert desk.send() == "B:fine:1"


def test_what_one_key_misses_is_no_outage_yet(desk: Desk) -> None:
    """Nor does a key that never gets through hold up another, however many events it has."""
    desk.add(*[f"A:{n}:{n}" for n in range(20)])
    assert desk.settle(desk.take(), UNREACHABLE).scope == "chain"
    for _ in range(10):
        assert desk.settle(desk.patiently(), UNREACHABLE).scope == "key"
        assert desk.take() is None
    desk.add("B:fine:1")
    assert desk.send() == "B:fine:1"


def test_every_event_of_a_key_gets_its_try(desk: Desk) -> None:
    """A single key, a single event that never passes, and an outage besides: when that is over,
    all others go."""
    desk.add("A:filtered:1", "A:x:2", "A:y:3")
    for _ in range(10):
        desk.settle(desk.patiently(), UNREACHABLE)
    sent = []
    while len(desk.scheduler) > 1:
        entry = desk.patiently()
        filtered = "filtered" in entry.name
        desk.settle(entry, UNREACHABLE if filtered else DELIVERED)
        sent += [] if filtered else [entry.name]
    assert sorted(sent) == ["A:x:2", "A:y:3"]


def test_the_end_of_an_outage_is_the_end_for_all(desk: Desk) -> None:
    """What waited long for its next try goes at once when another has found the way."""
    desk.add("A:x:1", "A:y:2", "A:x:3")
    for _ in range(10):
        desk.settle(desk.patiently(), UNREACHABLE)
    assert desk.take() is None
    desk.add("B:x:1")
    sent = desk.drain()
    assert sent[0] == "B:x:1"
    assert sorted(sent[1:]) == ["A:x:1", "A:x:3", "A:y:2"]
    assert sent.index("A:x:1") < sent.index("A:x:3")


def test_coming_back_is_a_slow_start(desk: Desk) -> None:
    """After an outage two go, then four, then eight; not all at once, and in the end all."""
    outage(desk)
    desk.add(*[f"{n}:x:1" for n in range(1000)])
    desk.wait()
    flying = [desk.take()]
    rounds = []
    while flying:
        rounds.append(len(flying))
        for entry in flying:
            desk.settle(entry, DELIVERED)
        flying = list(iter(desk.take, None))
    assert rounds[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert sum(rounds) == 1002
    desk.add(*[f"{n}:x:2" for n in range(1000)])
    assert len(list(iter(desk.take, None))) == 1000


def test_trouble_on_the_way_back_is_no_reason_to_hurry(desk: Desk) -> None:
    """A server that comes up and fails gets no more posts at once."""
    outage(desk)
    desk.add(*[f"{n}:x:1" for n in range(100)])
    desk.wait()
    flying = [desk.take()]
    for _ in range(10):
        for entry in flying:
            desk.settle(entry, TROUBLED)
        flying = list(iter(desk.take, None))
        assert len(flying) == 2


def test_probes_take_turns_among_keys(desk: Desk) -> None:
    """One key that can't be sent (its proxy rule, say) must not be the only probe."""
    desk.add("A:x:1", "B:x:1", "C:x:1")
    probes = []
    desk.settle(desk.take(), UNREACHABLE)
    for _ in range(3):
        desk.now += CAP
        entry = desk.take()
        assert entry is not None
        probes.append(entry.key)
        desk.settle(entry, UNREACHABLE)
    assert sorted(probes) == ["A", "B", "C"]


def test_any_answer_ends_the_outage(desk: Desk) -> None:
    """Refused, throttled or troubled: something that speaks PagerDuty's language was reached."""
    for verdict in (DELIVERED, REFUSED, THROTTLED, TROUBLED):
        desk = Desk()
        desk.add("A:x:1")
        desk.settle(desk.take(), UNREACHABLE)
        desk.wait()
        desk.settle(desk.take(), verdict)
        assert desk.scheduler.unreachable is None


def test_what_was_sent_before_the_outage_does_not_lengthen_it(desk: Desk) -> None:
    """32 posts that fail together are one failure, not 32 steps of backoff."""
    desk.add(*[f"{key}:x:1" for key in "ABCDEFGH"])
    flying = list(iter(desk.take, None))
    started = desk.now
    desk.now += 10
    waits = [desk.settle(entry, UNREACHABLE, started).seconds for entry in flying]
    assert set(waits) == {0.5}


def test_what_was_sent_before_the_end_of_an_outage_begins_none(desk: Desk) -> None:
    """A connect that began before PagerDuty was back fails after it. That event waits by itself,
    for a moment, and what its next post finds counts again."""
    desk.add("A:x:1", "A:x:2")
    slow, began = desk.take(), desk.now
    outage(desk)
    desk.wait()
    desk.add("A:y:3", "B:x:1")
    desk.settle(desk.take(), DELIVERED)
    desk.now += 1
    ruling = desk.settle(slow, UNREACHABLE, began)
    assert (ruling.fate, ruling.scope, ruling.seconds) == (Fate.WAITS, "chain", 0.5)
    assert desk.scheduler.unreachable is None
    assert desk.scheduler.held(desk.now).holds == ()
    sent = desk.drain()
    assert {"A:y:3", "B:x:1"} < set(sent)
    assert not {"A:x:1", "A:x:2"} & set(sent)
    assert desk.wait() == 0.5
    again = desk.take()
    assert again is slow
    desk.settle(again, UNREACHABLE)
    assert desk.scheduler.unreachable is not None
    assert desk.scheduler.unreachable.since == desk.now


def test_what_was_sent_before_an_outage_that_is_over_widens_no_other(desk: Desk) -> None:
    """It tells nothing of the one that there is by now, and is tried by itself."""
    outage(desk)
    desk.add("A:x:1", "B:x:1", "C:x:1")
    desk.wait()
    began = desk.now
    desk.now += 1
    desk.settle(desk.take(), DELIVERED)
    slow, other = desk.take(), desk.take()
    assert desk.settle(other, UNREACHABLE).scope == "chain"
    ruling = desk.settle(slow, UNREACHABLE, began)
    assert (ruling.scope, ruling.seconds) == ("chain", 0.5)
    assert len(desk.drain()) == 3
    assert desk.scheduler.unreachable is None


def test_an_event_that_alone_never_arrives_stops_being_a_probe(desk: Desk) -> None:
    """What others get past is not an outage: the second time only that event waits."""
    desk.add("A:x:1")
    desk.settle(desk.take(), UNREACHABLE)
    desk.add("B:y:1")
    desk.wait()
    sent = {desk.send(UNREACHABLE), None}
    while "B:y:1" not in sent:
        desk.now += CAP
        entry = desk.take()
        assert entry is not None
        sent.add(entry.name)
        desk.settle(entry, DELIVERED if entry.key == "B" else UNREACHABLE)
    desk.now += CAP
    entry = desk.take()
    assert entry is not None
    assert desk.settle(entry, UNREACHABLE).scope == "chain"
    assert desk.scheduler.unreachable is None


def test_an_outage_never_makes_an_event_fail(desk: Desk) -> None:
    """A month without a network is a delay."""
    desk.add("A:x:1", "B:y:1")
    for _ in range(24 * 30):
        assert desk.settle(desk.take(), UNREACHABLE).fate is Fate.WAITS
        desk.now += 3600
    assert sorted(desk.drain()) == ["A:x:1", "B:y:1"]


def test_a_probe_that_is_gone_makes_room_for_the_next(desk: Desk) -> None:
    """An event that a person removed in the middle of an outage ends nothing and blocks nothing."""
    desk.add("A:x:1", "B:x:1")
    desk.settle(desk.take(), UNREACHABLE)
    desk.wait()
    probe = desk.scheduler.claim(desk.now)
    assert probe is not None
    assert desk.scheduler.claim(desk.now) is None
    desk.scheduler.forget(probe)
    assert desk.take() is not None


def test_an_event_that_is_gone_keeps_nobody_waiting(desk: Desk) -> None:
    """It missed PagerDuty, and was removed. Who missed it after that goes when there is an
    answer."""
    desk.add("A:x:1", "C:z:3")
    gone, other, begun = desk.take(), desk.take(), desk.now
    desk.settle(gone, UNREACHABLE)
    desk.wait()
    assert desk.take() is gone
    assert gone is not None
    desk.scheduler.forget(gone)
    desk.add("B:y:2")
    desk.settle(desk.take(), UNREACHABLE)
    assert desk.take() is None
    desk.settle(other, DELIVERED, begun)
    assert desk.drain() == ["B:y:2"]


def test_when_something_is_due_in_an_outage(desk: Desk) -> None:
    """When the next probe may go, if there is anything that could be it."""
    desk.add("A:x:1", "B:y:2", "C:z:3")
    for _ in range(2):
        desk.settle(desk.take(), UNREACHABLE)
    [hold] = desk.scheduler.held(desk.now).holds
    assert hold.until == desk.now + 1.0
    assert desk.scheduler.next_due(desk.now) == hold.until
    desk.now = hold.until
    probe = desk.take()
    assert probe is not None
    assert probe.name == "C:z:3"
    assert desk.scheduler.next_due(desk.now) is None  # until the probe is back
