"""Events that a person has retried take the place that their name says."""

from dataclasses import replace

from pdagent.schedule.entry import Entry
from tests.unit.schedule.desk import (
    DELIVERED,
    ONE_BY_ONE,
    TROUBLED,
    Desk,
)


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
