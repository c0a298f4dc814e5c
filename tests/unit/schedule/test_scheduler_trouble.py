"""An event in trouble, and a key that is throttled: who waits for that, and for how long."""

from pdagent.schedule.experience import LEAST_TROUBLE_SECONDS
from pdagent.schedule.rules import TROUBLES_IN_A_ROW, Fate
from pdagent.wire.verdict import Throttled
from tests.unit.schedule.desk import CAP, DELIVERED, LIMIT, REFUSED, THROTTLED, TROUBLED, Desk


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
