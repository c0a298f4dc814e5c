"""Counts, and how things stand."""

from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import Scheduler
from pdagent.serve.tally import BUCKETS, Tally
from pdagent.wire.verdict import Delivered, Throttled, Troubled, Unreachable


def test_latency_goes_into_its_bucket() -> None:
    """A bound belongs to its bucket; what a clock could not have said is counted as delivered, and
    no latency."""
    tally = Tally()
    for took in (0.0, BUCKETS[0], 1e7):
        tally.count_delivered(1000.0, 1000.0 + took)
    tally.count_delivered(0.0, 1.7e9)
    tally.count_delivered(1000.0, 999.0)
    assert tally.delivered == 5
    assert tally.buckets == [2, *[0] * (len(BUCKETS) - 1), 1]
    assert tally.seconds == BUCKETS[0] + 1e7
    assert tally.delivered_at == 999.0


def test_what_was_there_at_the_start_is_not_accepted_now() -> None:
    tally = Tally()
    tally.count_accepted(1000)
    tally.begin()
    tally.count_accepted(1)
    assert tally.accepted == 1


def scheduler(*events: tuple[str, str]) -> Scheduler:
    made = Scheduler(Limits(60.0, 60, 32, 1), lambda: 0.5)
    for name, key in events:
        made.add(name, key)
    return made


def test_figures_of_nothing() -> None:
    figures = scheduler().figures()
    assert (figures.pending, figures.oldest, figures.reachable) == (0, None, True)
    assert set(figures.holds.values()) == {(0, 0)}


def test_a_key_that_is_held() -> None:
    """One key is held, with both of its events; the other's is not."""
    held = scheduler(("1_A.txt", "A"), ("2_B.txt", "B"), ("3_A.txt", "A"))
    entry = held.claim(0.0)
    assert entry is not None
    assert held.may_send(entry, "=x")
    held.settle(entry, Throttled(429, 10.0), 0.0, 0.0)
    figures = held.figures()
    assert figures.holds == {"destination": (0, 0), "key": (1, 2), "chain": (0, 0)}
    assert figures.oldest == "1_A.txt"
    _, again = held.claim(11.0), held.claim(11.0)
    assert again is entry
    held.settle(again, Delivered(202), 11.0, 11.0)
    held.forget(again)
    assert held.figures().holds["key"] == (0, 0)


def test_a_chain_and_the_destination() -> None:
    """An incident in trouble holds its own events, an outage all of them."""
    held = scheduler(("1_A.txt", "A"), ("2_A.txt", "A"), ("3_B.txt", "B"))
    first = held.claim(0.0)
    assert first is not None
    held.may_send(first, "=x")
    held.settle(first, Troubled("500", 500), 0.0, 0.0)
    assert held.figures().holds == {"destination": (0, 0), "key": (0, 0), "chain": (1, 1)}
    second = held.claim(0.0)
    assert second is not None
    held.may_send(second, "=y")
    held.settle(second, Unreachable("down"), 0.0, 0.0)
    figures = held.figures()
    assert figures.holds["destination"] == (1, 3)
    assert not figures.reachable


def test_the_oldest_is_the_one_accepted_first() -> None:
    held = scheduler(("1_A.txt", "A"), ("2_B.txt", "B"))
    entry = held.claim(0.0)
    assert entry is not None
    held.may_send(entry, "=x")
    held.settle(entry, Delivered(202), 0.0, 0.0)
    held.forget(entry)
    assert held.figures().oldest == "2_B.txt"
