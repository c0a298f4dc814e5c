"""A scheduler with its one caller, for tests."""

from collections.abc import Iterable

from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.rules import Fate, Ruling
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


def names(entries: Iterable[Entry | None]) -> list[str]:
    return [entry.name for entry in entries if entry is not None]


def outage(desk: Desk) -> None:
    """Nothing is reachable, and an event of two keys each has found that out."""
    desk.add("first:x:1", "second:x:1")
    for _ in range(2):
        desk.settle(desk.take(), UNREACHABLE)
