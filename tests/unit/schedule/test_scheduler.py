"""Who may go now, who has to wait for whom, and that nobody waits for ever."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pdagent.queue.holds import Cause, Hold, Scope, Tries
from pdagent.schedule import lane, telling
from pdagent.schedule.entry import Entry
from pdagent.schedule.experience import LEAST_TROUBLE_SECONDS
from pdagent.schedule.limits import Limits
from pdagent.schedule.rules import TROUBLES_IN_A_ROW, Fate, Ruling
from pdagent.schedule.scheduler import Scheduler
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

DELIVERED = Delivered(202)
REFUSED = Refused(400, "no")
THROTTLED = Throttled(429, None)
TROUBLED = Troubled("answered 500", 500)
UNREACHABLE = Unreachable("connection refused")
CAP = 60.0
LIMIT = 3
PLACES = 10_000
ONE_BY_ONE = Limits(CAP, LIMIT, PLACES, per_key=1)


class Desk:
    """A scheduler and its one caller, at a time that only the test moves. An event is written
    KEY:CHAIN:NUMBER."""

    def __init__(self, jitter: float = 0.5, limits: Limits = ONE_BY_ONE) -> None:
        self.jitter = jitter
        self.scheduler = Scheduler(limits, lambda: self.jitter)
        self.now = 1000.0

    def add(self, *names: str) -> None:
        for name in names:
            self.scheduler.add(name, name.split(":")[0])

    def take(self) -> Entry | None:
        """The next event that may really be sent."""
        while entry := self.scheduler.claim(self.now):
            if self.scheduler.may_send(entry, entry.name.split(":")[1]):
                return entry
        return None

    def settle(self, entry: Entry | None, verdict: Verdict, started: float | None = None) -> Ruling:
        assert entry is not None
        begun = self.now if started is None else started
        ruling = self.scheduler.settle(entry, verdict, begun, self.now)
        if ruling.fate is not Fate.WAITS:
            self.scheduler.forget(entry)
        return ruling

    def send(self, verdict: Verdict = DELIVERED) -> str | None:
        """Sends one event; its name."""
        entry = self.take()
        if entry is None:
            return None
        self.settle(entry, verdict)
        return entry.name

    def drain(self) -> list[str]:
        """What goes out now, without waiting."""
        return list(iter(self.send, None))

    def wait(self) -> float:
        """Goes to the next moment that the scheduler has named; the seconds to it."""
        due = self.scheduler.next_due(self.now)
        assert due is not None
        waited = due - self.now
        self.now = due
        return waited

    def patiently(self) -> Entry:
        """The next event that may be sent, however long it takes."""
        while (entry := self.take()) is None:
            self.wait()
        return entry


@pytest.fixture
def desk() -> Desk:
    return Desk()


# without trouble


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


# several chains of one key at once


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Three chains of a key may be on their way at once, from the start."""
    monkeypatch.setattr(lane, "NEW_ROOM", 3)
    return Desk(limits=replace(ONE_BY_ONE, per_key=3))


def names(entries: Iterable[Entry | None]) -> list[str]:
    return [entry.name for entry in entries if entry is not None]


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
    """And each event that is taken lets one more go. All posts of a key may hang, and then keep
    their places from other keys."""
    desk = Desk(limits=replace(ONE_BY_ONE, per_key=8))
    desk.add(*[f"A:{n}:{n}" for n in range(20)])
    rounds = []
    while flying := list(iter(desk.take, None)):
        rounds.append(len(flying))
        for entry in flying:
            desk.settle(entry, DELIVERED)
    assert rounds == [2, 4, 8, 6]


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


# an event in trouble


def test_trouble_holds_the_chain_and_nobody_else(desk: Desk) -> None:
    """A failing trigger holds back its own resolve; the key's other incidents go on."""
    desk.add("A:fire:1", "A:disk:2", "A:fire:3", "A:disk:4", "B:fire:5")
    ruling = desk.settle(desk.take(), TROUBLED)
    assert (ruling.fate, ruling.scope, ruling.seconds) == (Fate.WAITS, "chain", 0.5)
    assert desk.drain() == ["B:fire:5", "A:disk:2", "A:disk:4"]
    assert desk.wait() == 0.5
    assert desk.drain() == ["A:fire:1", "A:fire:3"]


def test_a_chain_keeps_its_order_through_many_troubles(desk: Desk) -> None:
    """What was parked behind a failing event goes before what came later."""
    desk.add("A:x:1", "A:x:2", "A:x:3")
    assert desk.send(TROUBLED) == "A:x:1"
    assert desk.drain() == []
    desk.wait()
    assert desk.send() == "A:x:1"
    desk.add("A:x:4")
    assert desk.send(TROUBLED) == "A:x:2"
    desk.add("A:x:5")
    assert desk.drain() == []
    desk.wait()
    assert desk.drain() == ["A:x:2", "A:x:3", "A:x:4", "A:x:5"]


def test_backoff_doubles_to_its_cap(desk: Desk) -> None:
    """Each try of an event in trouble waits up to twice as long, a minute at most."""
    desk.add("A:x:1")
    waits = [desk.settle(desk.take(), TROUBLED).seconds]
    for _ in range(8):
        desk.now += CAP
        waits.append(desk.settle(desk.take(), TROUBLED).seconds)
    assert waits[:2] == [0.5, 1.0]
    assert waits[-1] == CAP / 2


def test_troubles_in_a_row_hold_the_key(desk: Desk) -> None:
    """Several different events failing one after the other is the key's trouble."""
    desk.add(*[f"A:{n}:{n}" for n in range(5)], "B:x:1")
    scopes = [desk.settle(desk.take(), TROUBLED).scope]
    assert desk.send() == "B:x:1"
    scopes += [desk.settle(desk.take(), TROUBLED).scope for _ in range(TROUBLES_IN_A_ROW - 1)]
    assert scopes == ["chain"] * (TROUBLES_IN_A_ROW - 1) + ["key"]
    desk.add("B:x:2")
    assert desk.drain() == ["B:x:2"]
    while len(desk.scheduler):
        desk.wait()
        desk.drain()


def test_a_success_between_troubles_is_no_row(desk: Desk) -> None:
    """As long as some of a key's events get through, only the failing ones wait."""
    desk.add(*[f"A:{n}:{n}" for n in range(20)])
    for n in range(10):
        ruling = desk.settle(desk.take(), TROUBLED)
        assert ruling.scope == "chain", n
        assert desk.send() is not None


def test_retry_limit_alone_never_gives_up(desk: Desk) -> None:
    """Not before 24 hours, however many tries, and though others get through."""
    desk.add("A:x:1")
    for _ in range(LIMIT * 5):
        entry = desk.take()
        desk.add("B:y:1")
        assert desk.send() == "B:y:1"
        assert desk.settle(entry, TROUBLED).fate is Fate.WAITS
        desk.now += CAP


def trouble_for_a_day(desk: Desk, others: bool) -> list[Fate]:
    """One event fails once an hour for thirty hours; its fates, up to the first that is not to
    wait."""
    desk.add("A:x:1")
    fates = []
    for hour in range(30):
        entry = desk.take()
        assert entry is not None
        if others:
            desk.add(f"B:y:{hour}")
            desk.settle(desk.take(), DELIVERED)
        fates.append(desk.settle(entry, TROUBLED).fate)
        if fates[-1] is not Fate.WAITS:
            break
        desk.now += 3600
    return fates


def test_giving_up_takes_a_day_and_others_that_get_through(desk: Desk) -> None:
    """Past the limit and 24 hours, an event that alone keeps failing is set aside."""
    fates = trouble_for_a_day(desk, others=True)
    assert fates[-1] is Fate.GIVEN_UP
    assert len(fates) == LEAST_TROUBLE_SECONDS / 3600 + 1
    assert len(desk.scheduler) == 0


def test_an_outage_is_not_the_events_fault(desk: Desk) -> None:
    """While nothing else gets through either, an event is tried for ever."""
    assert trouble_for_a_day(desk, others=False) == [Fate.WAITS] * 30


def test_a_day_with_few_tries_is_not_enough() -> None:
    """Both the number of tries and the time have to be past."""
    desk = Desk()
    desk.add("A:x:1")
    for _ in range(LIMIT):
        entry = desk.take()
        desk.add("B:y:1")
        assert desk.send() == "B:y:1"
        assert desk.settle(entry, TROUBLED).fate is Fate.WAITS
        desk.now += LEAST_TROUBLE_SECONDS


def test_what_followed_an_event_given_up_goes_on(desk: Desk) -> None:
    """The resolve behind a trigger that was set aside is sent."""
    desk.add("A:x:1", "A:x:2")
    assert trouble_for_a_day(desk, others=True)[-1] is Fate.GIVEN_UP
    assert desk.drain() == ["A:x:2"]


# a key that is throttled


def test_throttling_holds_the_key(desk: Desk) -> None:
    """For as long as Retry-After says; the throttled event goes first when it ends."""
    desk.add("A:x:1", "A:y:2", "B:x:3")
    ruling = desk.settle(desk.take(), Throttled(429, 17.0))
    assert (ruling.scope, ruling.seconds) == ("key", 17.0)
    assert desk.drain() == ["B:x:3"]
    assert desk.wait() == 17.0
    assert desk.drain() == ["A:x:1", "A:y:2"]


def test_throttling_without_a_time_backs_off(desk: Desk) -> None:
    """0.5, 1, 2 seconds with this jitter, and one step back after a success."""
    desk.add("A:x:1", "A:y:2")
    waits = []
    for _ in range(3):
        waits.append(desk.settle(desk.take(), THROTTLED).seconds)
        desk.wait()
    assert waits == [0.5, 1.0, 2.0]
    assert desk.send() == "A:x:1"
    assert desk.settle(desk.take(), THROTTLED).seconds == 2.0


def test_a_retry_after_of_nothing_is_no_invitation(desk: Desk) -> None:
    """429 with Retry-After: 0 must not become a loop of requests."""
    desk.add("A:x:1")
    assert desk.settle(desk.take(), Throttled(429, 0.0)).seconds > 0
    assert desk.take() is None


def test_throttling_never_counts_against_an_event(desk: Desk) -> None:
    """A key that is throttled for days loses nothing."""
    desk.add("A:x:1")
    for _ in range(100):
        assert desk.settle(desk.take(), THROTTLED).fate is Fate.WAITS
        desk.add("B:y:1")
        assert desk.send() == "B:y:1"
        desk.now += 3600


def test_a_refused_event_holds_nobody(desk: Desk) -> None:
    """The next event of the key, and of the very chain, goes at once."""
    desk.add("A:x:1", "A:x:2")
    assert desk.settle(desk.take(), REFUSED).fate is Fate.REFUSED
    assert desk.drain() == ["A:x:2"]


# nothing is reached


def outage(desk: Desk) -> None:
    """Nothing is reachable, and an event of two keys each has found that out."""
    desk.add("first:x:1", "second:x:1")
    for _ in range(2):
        desk.settle(desk.take(), UNREACHABLE)


def test_an_outage_lets_one_probe_through_at_a_time(desk: Desk) -> None:
    """Everybody waits, one event tries, and when it arrives everybody goes."""
    outage(desk)
    desk.add("A:x:1", "A:x:2", "B:x:1", "C:x:1")
    assert desk.scheduler.unreachable_since is not None
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
    assert desk.scheduler.unreachable_since is None
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
        assert desk.scheduler.unreachable_since is None


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
    assert desk.scheduler.unreachable_since is None
    assert desk.scheduler.held(desk.now).holds == ()
    sent = desk.drain()
    assert {"A:y:3", "B:x:1"} < set(sent)
    assert not {"A:x:1", "A:x:2"} & set(sent)
    assert desk.wait() == 0.5
    again = desk.take()
    assert again is slow
    desk.settle(again, UNREACHABLE)
    assert desk.scheduler.unreachable_since == desk.now


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
    assert desk.scheduler.unreachable_since is None


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
    assert desk.scheduler.unreachable_since is None


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


# files that are not ready


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


# configuration


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


# retried by a person


class Counter:
    """Names that sort as the spool's do: microseconds, key."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.chains: dict[str, str] = {}

    def add(self, number: int, chain: str, retried: bool = False) -> None:
        name = f"{number}_A.txt"
        self.chains[name] = chain
        self.desk.scheduler.add(name, "A", retried)

    def take(self) -> Entry | None:
        scheduler, now = self.desk.scheduler, self.desk.now
        while entry := scheduler.claim(now):
            if scheduler.may_send(entry, self.chains[entry.name]):
                return entry
        return None

    def drain(self) -> list[str]:
        names = []
        while entry := self.take():
            self.desk.settle(entry, DELIVERED)
            names.append(entry.name.partition("_")[0])
        return names


def test_a_retried_event_takes_its_place() -> None:
    """Before what was accepted after it, its own resolve above all; and retried ones in order."""
    counter = Counter()
    counter.add(20, "x")
    counter.add(30, "y")
    counter.add(10, "x", retried=True)
    counter.add(25, "z", retried=True)
    counter.add(40, "z", retried=True)
    counter.add(5, "new")  # the clock was set back: accepted last all the same
    assert counter.drain() == ["10", "20", "25", "30", "40", "5"]


def test_a_retried_event_takes_its_place_in_a_held_chain() -> None:
    """Also before the one in trouble, and it is then the one to be tried."""
    counter = Counter()
    counter.add(20, "x")
    counter.add(30, "x")
    counter.desk.settle(counter.take(), TROUBLED)
    assert counter.drain() == []
    counter.add(10, "x", retried=True)
    counter.add(25, "x", retried=True)
    assert counter.drain() == []
    counter.desk.wait()
    assert counter.drain() == ["10", "20", "25", "30"]


def test_a_retried_event_joins_behind_one_that_is_on_its_way() -> None:
    """The retry came too late to go before it. The one on its way leaves the queue as any other."""
    counter = Counter()
    counter.desk = Desk(limits=replace(ONE_BY_ONE, per_key=3))
    counter.add(20, "x")
    counter.add(30, "x")
    first = counter.take()
    assert counter.take() is None
    counter.add(10, "x", retried=True)
    assert counter.take() is None
    counter.desk.settle(first, DELIVERED)
    assert counter.drain() == ["10", "30"]
    assert len(counter.desk.scheduler) == 0


def test_what_is_pending_is_in_queue_order(desk: Desk) -> None:
    """By number, whatever letters say; what is no event comes first."""
    for name in ("10_A.txt", "9_A.txt", "junk"):
        desk.scheduler.add(name, "A", owner=7)
    assert desk.scheduler.pending() == [("junk", 7), ("9_A.txt", 7), ("10_A.txt", 7)]


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
    """One that is not gets another turn if its lane has lost it. One that is gone is not."""
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
